#!/usr/bin/env python3
"""Checks of the source tree's shape, one per function; see CHECKS at the end.

Include directories and flags come from compile_commands.json of the build folder, so what is
checked is what each layer really sees."""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE_FOLDERS = ["include", "src", "collectives", "bootstrap", "python", "bench", "tests"]
SKIPPED = 77  # what ctest takes for "skipped"


class Tree:
    """The sources, and how the build compiles them."""

    def __init__(self, build: pathlib.Path):
        commands = json.loads((build / "compile_commands.json").read_text())
        self.flags = {}
        for entry in commands:
            path = pathlib.Path(entry["file"]).resolve()
            if path.is_relative_to(ROOT):
                self.flags[path] = self._flags(shlex.split(entry["command"]))

    @staticmethod
    def _flags(words: list) -> list:
        """The compiler, and the flags that decide whether a text compiles."""
        compiler = next(w for w in words if re.search(r"(\+\+|clang)(-\d+)?$", w))
        kept = [compiler]
        for i, word in enumerate(words):
            if word in ("-isystem", "-I"):
                kept += words[i:i + 2]
            elif re.match(r"-(I.|D|std=|W)", word):
                kept.append(word)
        return kept

    def flags_of_folder(self, folder: pathlib.Path) -> list:
        """Those of a source in the folder, or in the nearest one above that has any; the public
        headers' are what the lowest layer sees."""
        while folder != ROOT:
            for path, flags in self.flags.items():
                if path.parent == folder:
                    return flags
            folder = folder.parent
        return self.flags[ROOT / "src" / "base" / "config.cpp"]

    def library_headers(self) -> list:
        """Public and internal ones; those of tests and benchmarks are nobody's interface, and those
        of the Python package are compiled by its own build only."""
        return [p for p in self.files(".h", ".hpp")
                if p.relative_to(ROOT).parts[0] not in ("tests", "bench", "python")]

    def files(self, *suffixes: str) -> list:
        found = [p for folder in SOURCE_FOLDERS for p in (ROOT / folder).rglob("*")
                 if p.suffix in suffixes and p.is_file()]
        return sorted(found)


def compiles(flags: list, text: str) -> tuple:
    """Whether the text compiles, and what the compiler said. Not run in the tree, whose folders
    would be found from there without any flag."""
    result = subprocess.run([*flags, "-x", "c++", "-fsyntax-only", "-"], input=text, text=True,
                            capture_output=True, check=False, cwd="/")
    return result.returncode == 0, result.stderr


def headers_compile_alone(tree: Tree) -> list:
    """A header includes what it uses: it compiles as the only thing in a file."""
    def problem(header: pathlib.Path):
        fine, said = compiles(tree.flags_of_folder(header.parent), f'#include "{header}"\n')
        return None if fine else f"{header.relative_to(ROOT)} does not compile alone:\n{said}"

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return [p for p in pool.map(problem, tree.library_headers()) if p]


# Each layer: a header that it must see, which proves that the check works, and headers of layers
# above or beside it that it must not see.
LAYERS = {
    "collectives": ("collectives/schedule.h",
                    ["base/clock.h", "engine/engine.h", "transport/transport.h",
                     "bootstrap/bootstrap.h", "memory/reduce.h"]),
    "bootstrap": ("base/wire.h", ["engine/engine.h", "transport/transport.h", "memory/reduce.h",
                                  "collectives/schedule.h"]),
    "src/base": ("base/wire.h", ["transport/transport.h", "collectives/schedule.h",
                                 "bootstrap/bootstrap.h"]),
    "src/transport": ("base/clock.h", ["engine/engine.h", "memory/reduce.h",
                                       "bootstrap/bootstrap.h", "collectives/schedule.h"]),
    "src/transport/shm": ("transport/transport.h", ["transport_tcp/tcp_transport.h",
                                                    "engine/engine.h", "bootstrap/bootstrap.h"]),
    "src/transport/tcp": ("transport/transport.h", ["transport_shm/shm_transport.h",
                                                    "engine/engine.h", "bootstrap/bootstrap.h"]),
    "src/memory": ("transport/transport.h", ["engine/engine.h", "collectives/schedule.h",
                                             "bootstrap/bootstrap.h"]),
    "src/engine": ("collectives/schedule.h", ["bootstrap/bootstrap.h",
                                              "transport_shm/shm_transport.h",
                                              "transport_tcp/tcp_transport.h"]),
}


def arrows_point_down(tree: Tree) -> list:
    """A layer cannot include what it is not built upon."""
    problems = []
    for layer, (visible, hidden) in LAYERS.items():
        flags = tree.flags_of_folder(ROOT / layer)
        fine, said = compiles(flags, f'#include "{visible}"\n')
        if not fine:
            problems.append(f"{layer} should see {visible}, but:\n{said}")
        for header in hidden:
            fine, said = compiles(flags, f'#include "{header}"\n')
            if fine or f"{header}: No such file" not in said:
                problems.append(f"{layer} sees {header}: the arrow points the wrong way")
    return problems


def lines_matching(paths: list, pattern: str) -> list:
    """Lines of code, comments left out, in which the pattern is found."""
    return [f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
            for path in paths
            for number, line in enumerate(path.read_text().splitlines(), 1)
            if re.search(pattern, re.sub(r"(^|\s)//.*", "", line))]


def wires_by_layer(tree: Tree) -> list:
    """Headers are included by their layer's name, so that the arrows are checked. Gloo, which is
    compared with, has folders of the same names."""
    return lines_matching(tree.files(".h", ".hpp", ".cpp"),
                          r'#\s*include\s+["<](src/|\.\.?/|(?!gloo/)[^">]*transport/(shm|tcp|verbs|sim)/)')


def one_getenv(tree: Tree) -> list:
    """The environment is read in one place of the library."""
    library = [p for p in tree.files(".h", ".hpp", ".cpp")
               if p.relative_to(ROOT).parts[0] not in ("tests", "bench")]
    found = lines_matching(library, r"\b(secure_)?getenv\b|\benviron\b")
    home = "src/base/config.cpp:"
    if not any(line.startswith(home) for line in found):
        return [f"{home} does not read the environment: this check looks for the wrong thing"]
    return [line for line in found if not line.startswith(home)]


# What is wrong, and beside it the same thing done right.
MISTAKES = {
    "DataTypeOf of a type that is no element": ("auto x = DataTypeOf<char>::value; (void)x;",
                                                "auto x = DataTypeOf<float>::value; (void)x;"),
    "DataTypeOf of 16-bit integers": ("auto x = DataTypeOf<short>::value; (void)x;",
                                      "auto x = DataTypeOf<unsigned>::value; (void)x;"),
    "a short float out of a float unasked": ("float16 x = 1.0F; (void)x;",
                                             "float16 x(1.0F); (void)x;"),
    "a float out of a short float unasked": ("float x = bfloat16(); (void)x;",
                                             "float x(static_cast<float>(bfloat16())); (void)x;"),
    "copying Memory": ("Memory a; Memory b(a);", "Memory a; Memory b(std::move(a));"),
    "assigning Memory": ("Memory a, b; b = a;", "Memory a, b; b = std::move(a);"),
    "copying Work": ("Work a; Work b(a);", "Work a; Work b(std::move(a));"),
    "assigning Work": ("Work a, b; b = a;", "Work a, b; b = std::move(a);"),
    "copying a Communicator": ("Communicator b(c);", "Communicator b(std::move(c));"),
    "assigning a Communicator": ("d = c;", "d = std::move(c);"),
    "reducing bytes": ("std::span<char> s; c.all_reduce(s, ReduceOp::sum);",
                       "std::span<float> s; c.all_reduce(s, ReduceOp::sum);"),
    "writing into what is const": ("std::span<const float> s; c.all_reduce(s, ReduceOp::sum);",
                                   "std::span<float> s; c.all_reduce(s, ReduceOp::sum);"),
    "a number for an operation": ("std::span<float> s; c.all_reduce(s, 1);",
                                  "std::span<float> s; c.all_reduce(s, ReduceOp::min);"),
    "sending bytes": ("std::span<char> s; c.send(s, 0);", "std::span<float> s; c.send(s, 0);"),
    "receiving into what is const": ("std::span<const float> s; c.recv(s, 0);",
                                     "std::span<const float> s; c.send(s, 0);"),
    "dropping a Work": ("c.all_reduce_async(nullptr, nullptr, 0, DataType::int32, ReduceOp::sum);",
                        "c.all_reduce_async(nullptr, nullptr, 0, DataType::int32, ReduceOp::sum)"
                        ".wait();"),
    "a Device out of nothing": ("Device x; (void)x;", "Device x = Device::host(); (void)x;"),
}


def must_not_compile(tree: Tree) -> list:
    """Mistakes that the types catch."""
    flags = tree.flags_of_folder(ROOT / "src" / "base")
    frame = ("#include <utility>\n#include \"paceline/paceline.hpp\"\nusing namespace paceline;\n"
             "void f([[maybe_unused]] Communicator& c, [[maybe_unused]] Communicator& d);\n"
             "void f(Communicator& c, Communicator& d) {{\n(void)c, (void)d;\n{}\n}}\n")
    # All the right ways fit into one text; each wrong one needs a compiler of its own.
    right = "\n".join(f"{{ {right} }}" for _, right in MISTAKES.values())
    fine, said = compiles(flags, frame.format(right))
    problems = [] if fine else [f"the right ways do not compile either:\n{said}"]

    def problem(mistake):
        name, (wrong, _) = mistake
        caught = not compiles(flags, frame.format(wrong))[0]
        return None if caught else f"{name}: compiles, but must not: {wrong}"

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return problems + [p for p in pool.map(problem, MISTAKES.items()) if p]


def formatted(tree: Tree) -> list:
    """clang-format has nothing to change."""
    program = shutil.which("clang-format")
    version = subprocess.run([program, "--version"], text=True, capture_output=True,
                             check=True).stdout if program else "none"
    if "version 14." not in version:  # Debian 12's; others differ in what they think is right
        print(f"skipped: needs clang-format 14, there is {version}")
        sys.exit(SKIPPED)
    files = [str(p) for p in tree.files(".h", ".hpp", ".cpp")]
    result = subprocess.run([program, "--dry-run", "-Werror", *files], text=True,
                            capture_output=True, check=False)
    return [] if result.returncode == 0 else [result.stderr]


CHECKS = [headers_compile_alone, arrows_point_down, wires_by_layer, one_getenv, must_not_compile,
          formatted]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("check", choices=[check.__name__ for check in CHECKS])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build",
                        help="the build folder, for its compile_commands.json")
    arguments = parser.parse_args()
    check = next(c for c in CHECKS if c.__name__ == arguments.check)
    problems = check(Tree(arguments.build))
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
