#!/usr/bin/env python3
"""Runs one harness for a while, from its corpus and with its dictionary, and prints how many inputs
were tried and which of them it did not survive. Inputs that reach something new are kept in the
results folder, not in the corpus: run.py --merge takes the smallest set of all into the corpus."""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
LONGEST = 1024  # bytes of an input: several messages of each kind
# One input may take so many seconds, and the program so many megabytes, before it counts as found.
SLOW = 10
MEMORY = 2048


def options(program: pathlib.Path, results: pathlib.Path) -> list:
    dictionary = HERE / f"{program.name}.dict"
    return [f"-max_len={LONGEST}", f"-timeout={SLOW}", f"-rss_limit_mb={MEMORY}",
            f"-artifact_prefix={results}/{program.name}-",
            *([f"-dict={dictionary}"] if dictionary.exists() else [])]


def fuzz(program: pathlib.Path, corpus: pathlib.Path, results: pathlib.Path, seconds: int) -> int:
    found = results / program.name
    found.mkdir(parents=True, exist_ok=True)
    before = set(results.glob(f"{program.name}-*"))
    ended = subprocess.run(
        [program, found, corpus, *options(program, results), f"-max_total_time={seconds}",
         "-print_final_stats=1"], text=True, errors="replace", stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False)
    executed = re.search(r"stat::number_of_executed_units: *(\d+)", ended.stdout)
    covered = re.findall(r"cov: (\d+)", ended.stdout)
    crashes = sorted(set(results.glob(f"{program.name}-*")) - before)
    line = (f"{program.name}: {executed[1] if executed else 'unknown'} executions in {seconds} s, "
            f"{covered[-1] if covered else 'unknown'} edges, {len(crashes)} crashes")
    (results / f"{program.name}.txt").write_text(line + "\n")
    print(line)
    if ended.returncode != 0:
        print(ended.stdout[-8000:])
        for crash in crashes:
            print(f"to see it again: {program} {crash}")
    return ended.returncode if ended.returncode != 0 or executed else 1


def merge(program: pathlib.Path, corpus: pathlib.Path, results: pathlib.Path) -> int:
    with tempfile.TemporaryDirectory() as folder:
        smallest = pathlib.Path(folder) / "smallest"
        smallest.mkdir()
        subprocess.run([program, "-set_cover_merge=1", smallest, corpus, results / program.name,
                        *options(program, results)], check=True)
        for old in corpus.iterdir():
            old.unlink()
        for path in smallest.iterdir():
            (corpus / path.name).write_bytes(path.read_bytes())
        print(f"{corpus}: {len(list(corpus.iterdir()))} inputs")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--results", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--merge", action="store_true")
    arguments = parser.parse_args()
    program = arguments.program.resolve()
    corpus = HERE / "corpus" / program.name
    corpus.mkdir(parents=True, exist_ok=True)
    arguments.results.mkdir(parents=True, exist_ok=True)
    if arguments.merge:
        return merge(program, corpus, arguments.results.resolve())
    return fuzz(program, corpus, arguments.results.resolve(), arguments.seconds)


if __name__ == "__main__":
    sys.exit(main())
