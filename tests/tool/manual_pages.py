#!/usr/bin/env python3
"""Each program has a manual page without mistakes, which documents exactly the options it has.

usage: manual_pages.py FOLDER-OF-PAGES PROGRAM..."""

import pathlib
import re
import subprocess
import sys

TIMEOUT = 20  # seconds for a --help; under a sanitizer a program takes one to start


def help_of(program: pathlib.Path, *subcommand: str) -> str:
    return subprocess.run([program, *subcommand, "--help"], text=True, capture_output=True,
                          check=True, timeout=TIMEOUT).stdout


def subcommands(text: str) -> list:
    """What CLI11 lists under that heading."""
    _, _, listed = text.partition("\nSubcommands:\n")
    return re.findall(r"^  (\w+)", listed, re.MULTILINE)


def options_told(text: str) -> set:
    """Of a --help: lines that start with "  -b,--minbytes", as ("-b", "--minbytes")."""
    found = re.findall(r"^  (-[-\w,]+)", text, re.MULTILINE)
    return {tuple(sorted(words.split(","))) for words in found}


def options_documented(page: str) -> set:
    """Of a manual page: items as   .It Fl b , Fl Fl minbytes Ar size"""
    options = set()
    for item in re.findall(r"^\.It (Fl .*)$", page, re.MULTILINE):
        names = re.findall(r"(Fl (?:Fl )?)([\w-]+)", item)
        options.add(tuple(sorted("-" * fl.count("Fl") + name for fl, name in names)))
    return options


def sections(page: str, name: str) -> dict:
    """The parts of a page: "" for what is common, and one per subcommand, headed .Ss name info"""
    parts = {"": ""}
    current = ""
    for line in page.splitlines(keepends=True):
        if line.startswith(f".Ss {name} "):
            current = line.split()[2]
            parts[current] = ""
        elif line.startswith(".Sh "):
            current = ""
        parts[current] += line
    return parts


def compare(what: str, told: set, documented: set) -> list:
    problems = [f"{what} has {', '.join(o)}, which its manual page does not document"
                for o in sorted(told - documented)]
    problems += [f"the manual page of {what} documents {', '.join(o)}, which it does not have"
                 for o in sorted(documented - told)]
    if not told:
        problems.append(f"{what}: no option found in its --help")
    return problems


def check(program: pathlib.Path, pages: pathlib.Path) -> list:
    page = pages / f"{program.name}.1"
    if not page.exists():
        return [f"{program.name} has no manual page {page}"]
    text = page.read_text()
    if text.startswith(".so man1/"):  # documented together with another one
        page = pages / text.split("/")[1].strip()
    lint = subprocess.run(["mandoc", "-Tlint", "-Wwarning", page], text=True, capture_output=True,
                          check=False)
    problems = [lint.stdout + lint.stderr] if lint.returncode != 0 else []
    parts = sections(page.read_text(), program.name)
    told = help_of(program)
    problems += compare(program.name, options_told(told), options_documented(parts.pop("")))
    for name in subcommands(told):
        if name not in parts:
            problems.append(f"{program.name} {name} has no section in {page}")
            continue
        problems += compare(f"{program.name} {name}", options_told(help_of(program, name)),
                            options_documented(parts.pop(name)))
    problems += [f"{page} documents a subcommand {name}, which does not exist" for name in parts]
    return problems


def main() -> int:
    pages = pathlib.Path(sys.argv[1])
    programs = [pathlib.Path(p) for p in sys.argv[2:]]
    problems = [p for program in programs for p in check(program, pages)]
    for problem in problems:
        print(problem)
    return 1 if problems or not programs else 0


if __name__ == "__main__":
    sys.exit(main())
