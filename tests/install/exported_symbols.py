#!/usr/bin/env python3
"""libpaceline.so exports exactly what the public headers declare: every function that has no body
there, the type information of their classes, and nothing else.

usage: exported_symbols.py LIBRARY VERSION-OF-SYMBOLS FOLDER-OF-HEADERS"""

import collections
import pathlib
import re
import subprocess
import sys

NAMESPACE = "paceline"


def without_comments(text: str) -> str:
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
    text = re.sub(r'"[^"\n]*"', '""', text)
    return re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)


class Header:
    """Reads declarations, in the few forms that our headers have. `functions` counts those without
    a body by qualified name; `classes` has the names of all classes with a definition."""

    def __init__(self, text: str):
        self.functions = collections.Counter()
        self.classes = set()
        self._text = without_comments(text)
        self._at = 0
        self._scope([])

    def _chunk(self) -> tuple:
        """The text up to the next ; { or } that is not between parentheses, and which it is."""
        begin, depth = self._at, 0
        while self._at < len(self._text):
            c = self._text[self._at]
            self._at += 1
            depth += (c == "(") - (c == ")")
            if depth == 0 and c in ";{}":
                return " ".join(self._text[begin:self._at - 1].split()), c
        return "", ""

    def _skip_block(self):
        depth = 1
        while depth > 0:
            depth += {"{": 1, "}": -1}.get(self._text[self._at], 0)
            self._at += 1

    def _scope(self, names: list):
        while True:
            chunk, end = self._chunk()
            if end in ("}", ""):
                return
            if end == ";":
                self._declaration(chunk, names)
                continue
            if opened := re.match(r"namespace (\w+)$", chunk):
                self._scope(names + [opened[1]])
            elif not chunk.startswith("template") and (
                    opened := re.search(r"\b(?:class|struct) (?:\[\[.*?\]\] )?(?:PACELINE_API )?"
                                        r"(\w+)(?: final)?(?: :[^:].*)?$", chunk)):
                self.classes.add("::".join(names + [opened[1]]))
                self._scope(names + [opened[1]])
            else:
                self._skip_block()  # a body, an initialiser, an enum, a template

    def _declaration(self, chunk: str, names: list):
        chunk = re.sub(r"^(public|private|protected) ?: ?", "", chunk)
        if re.match(r"(template|using|friend|static_assert|typedef)\b", chunk):
            return
        # "name(...) const noexcept"; neither "= default" nor a member that is initialised.
        found = re.match(r"[^(=]*?(~?\w+|operator\W+)\((.*)\)(?: const)?(?: noexcept)?$", chunk)
        if found:
            self.functions["::".join(names + [found[1]])] += 1


def declared(folder: pathlib.Path) -> tuple:
    functions, classes = collections.Counter(), set()
    for path in sorted([*folder.glob("*.h"), *folder.glob("*.hpp")]):
        header = Header(path.read_text())
        functions += header.functions
        classes |= header.classes
    return functions, classes


def exported(library: pathlib.Path) -> dict:
    """Demangled name -> version. Two symbols of one name (a constructor's) are one."""
    said = subprocess.run(["nm", "-DC", "--defined-only", "--with-symbol-versions", library],
                          text=True, capture_output=True, check=True).stdout
    found = {}
    for line in said.splitlines():
        _, kind, name = line.split(" ", 2)
        name, _, version = name.partition("@@")
        if kind != "A":  # the name of the version itself
            found[name] = version
    return found


def qualified(name: str) -> str:
    """Without parameters: "paceline::version[abi:cxx11]()" is paceline::version."""
    return re.sub(r"\[abi:\w+\]", "", name).split("(")[0]


def main() -> int:
    library, version, headers = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
    functions, classes = declared(headers)
    problems = []
    counted = collections.Counter()
    for name, of in exported(library).items():
        if of != version:
            problems.append(f"{name} has the version {of or 'none'} and not {version}")
        info = re.match(r"(?:typeinfo|typeinfo name|vtable) for (.*)$", name)
        if info is None:
            counted[qualified(name)] += 1
        elif info[1] not in classes:
            problems.append(f"{name} is exported, but {info[1]} is no class of the public headers")
    for name in sorted(set(functions) | set(counted)):
        if counted[name] < functions[name]:
            problems.append(f"{name}: {functions[name]} declared in the public headers, "
                            f"{counted[name]} exported; mark it, or its class, PACELINE_API")
        elif counted[name] > functions[name]:
            problems.append(f"{name}: {counted[name]} exported, {functions[name]} declared in the "
                            f"public headers; it belongs to the library's inside")
    if functions[f"{NAMESPACE}::Communicator::all_reduce"] != 1 or len(functions) < 30:
        problems.append(f"the headers were misread: {dict(functions)}")
    for problem in problems:
        print(problem)
    print(f"{sum(counted.values())} functions exported")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
