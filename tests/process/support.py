"""Ranks as real processes: started, watched, killed; none of them outlives its test.

Every test program here is called as   NAME.py --looper PATH --forker PATH --perf PATH --mpirun PATH --merge PATH
[Case.test]
"""

import argparse
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import children

POLL = 0.01  # seconds between two looks at the processes: the resolution of all times told here

# "2026-11-22T02:31:56.530818Z warning rank=0 ..."
LOG_LINE = re.compile(r"\S+Z (error|warning) rank=\d+ host=")

paths = argparse.Namespace()  # what CMake passed: looper, forker, perf, mpirun, merge


def free_port() -> int:
    """A loopback port that nobody listens on, below those that the kernel hands out by itself, so
    that no connection of another test takes it before our rank 0 does."""
    while True:
        port = random.randrange(20000, 30000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def environment(**more) -> dict:
    """What a shell would have, without any launcher's variables."""
    kept = {name: value for name, value in os.environ.items()
            if name in ("PATH", "HOME", "LANG", "TMPDIR", "USER")
            or name.startswith(("ASAN_", "LSAN_", "UBSAN_", "TSAN_"))}
    return kept | {name: str(value) for name, value in more.items()}


class Process:
    """A program whose output goes into a file, so that nothing ever waits for us to read it."""

    def __init__(self, name: str, command: list, env: dict, folder: str):
        self.name = name
        self._output = pathlib.Path(folder) / f"{name.replace(' ', '-')}.txt"
        with open(self._output, "wb") as out:
            # A group of its own: mpirun, for one, signals its whole group.
            self._popen = subprocess.Popen(
                [str(word) for word in command], env=env, stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, start_new_session=True,
                preexec_fn=children.end_with_parent)
        self.ended_at = None

    def output(self) -> str:
        return self._output.read_text(errors="replace")

    def poll(self):
        code = self._popen.poll()
        if code is not None and self.ended_at is None:
            self.ended_at = time.monotonic()
        return code

    def signal(self, number: int):
        self._popen.send_signal(number)

    def kill_group(self):
        try:
            os.killpg(self._popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._popen.wait()


class ProcessTest(unittest.TestCase):
    """Each test has a folder and a list of processes, which end with it, whatever happens."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="paceline-process-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.processes = []
        self.addCleanup(self.end_processes)

    def end_processes(self):
        for process in self.processes:
            process.kill_group()
        self.processes.clear()
        children.kill_all()

    def start(self, name: str, command: list, **variables) -> Process:
        process = Process(name, command, environment(**variables), self.folder)
        self.processes.append(process)
        return process

    def start_ranks(self, size: int, command: list, each=lambda rank: {}, inside=lambda rank: [],
                    **variables) -> list:
        """One process per rank, told by hand who it is. `each(rank)` are variables of one rank;
        `inside(rank)` is put before the command."""
        variables.setdefault("PACELINE_ROOT", f"127.0.0.1:{free_port()}")
        return [self.start(f"rank {rank}", inside(rank) + command,
                           **({"PACELINE_RANK": rank, "PACELINE_SIZE": size} | variables
                              | each(rank)))
                for rank in range(size)]

    def said(self, processes: list) -> str:
        return "".join(f"\n--- {p.name}, exit code {p.poll()}:\n{p.output()[-3000:]}"
                       for p in processes)

    def wait_until(self, condition, seconds: float, what: str):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                self.fail(f"not within {seconds} s: {what}" + self.said(self.processes))
            time.sleep(POLL)

    def wait_for_text(self, processes: list, pattern: str, seconds: float):
        self.wait_until(lambda: all(re.search(pattern, p.output()) for p in processes), seconds,
                        f"every rank says \"{pattern}\"")

    def wait_for_end(self, processes: list, seconds: float):
        # A list and not a generator: all are looked at, so that each has its own time of ending.
        self.wait_until(lambda: None not in [p.poll() for p in processes], seconds,
                        "every process ends")

    def assert_ended(self, process: Process, code: int, *patterns: str):
        self.assertEqual(process.poll(), code, self.said([process]))
        for pattern in patterns:
            self.assertRegex(process.output(), pattern)

    def assert_one_sentence(self, process: Process, code: int, *patterns: str) -> str:
        """It ended with an error of one line, the log apart, which matches all of the patterns."""
        self.assertEqual(process.poll(), code, self.said([process]))
        lines = [line for line in process.output().splitlines() if not LOG_LINE.match(line)]
        self.assertEqual(len(lines), 1, self.said([process]))
        for pattern in patterns:
            self.assertRegex(lines[0], pattern)
        return lines[0]


def tell(text: str):
    """For whoever reads the log of a test."""
    print(text, flush=True)


def main(*programs: str):
    """`programs` are those that only one test program gets the path of."""
    parser = argparse.ArgumentParser()
    for name in ("looper", "forker", "perf", "mpirun", "merge", *programs):
        parser.add_argument(f"--{name}", type=pathlib.Path)
    _, rest = parser.parse_known_args(namespace=paths)
    children.adopt()
    # As an exception, so that the cleanups run.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("killed"))
    unittest.main(module="__main__", argv=[sys.argv[0], *rest], verbosity=2)
