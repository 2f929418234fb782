"""Compiles the backend for the torch that is installed.

The functions that torch calls in a backend move from one release to the next, so that what is
compiled for one release crashes in another. What is compiled is kept in $XDG_CACHE_HOME/paceline
(~/.cache/paceline), in a folder whose name says all that it depends on; ranks that start at once
wait for the first of them.
"""

import concurrent.futures
import fcntl
import hashlib
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass

import torch

from ._location import Location, location

SOURCES = pathlib.Path(__file__).parent / "csrc"
TORCH = pathlib.Path(torch.__file__).parent
MODULE = "_native"
# -O2: the work is done in the library. No warnings: these headers are torch's, and a user can do
# nothing about them.
FLAGS = ["-std=c++20", "-O2", "-fPIC", "-fvisibility=hidden", "-w"]
OLDEST, NEWEST_TESTED = (2, 11), (2, 15)


@dataclass(frozen=True)
class Plan:
    """All that a compiled backend depends on."""

    place: Location
    compiler: str

    def includes(self) -> list[str]:
        """Folders of headers: ours, the library's, torch's, Python's."""
        folders = [str(SOURCES), str(self.place.include)]
        # As torch.utils.cpp_extension has them, whose import looks for CUDA for a second.
        system = [TORCH / "include", TORCH / "include" / "torch" / "csrc" / "api" / "include",
                  sysconfig.get_paths()["include"]]
        return [f"-I{folder}" for folder in folders] + [f"-isystem{folder}" for folder in system]

    def definitions(self) -> list[str]:
        """What must agree with how torch itself was compiled."""
        abi = int(torch.compiled_with_cxx11_abi())
        return [f"-D_GLIBCXX_USE_CXX11_ABI={abi}", f"-DTORCH_EXTENSION_NAME={MODULE}",
                "-DTORCH_API_INCLUDE_EXTENSION_H", "-DUSE_C10D", "-DUSE_DISTRIBUTED"]

    def link(self) -> list[str]:
        """Libraries, and where they are found when the module is loaded."""
        words = ["-shared", f"-L{self.place.libraries}", "-l:libpaceline.so.0",
                 f"-Wl,-rpath,{self.place.libraries}"]
        words += [f"-L{TORCH / 'lib'}", f"-Wl,-rpath,{TORCH / 'lib'}"]
        return [*words, "-lc10", "-ltorch_cpu", "-ltorch", "-ltorch_python"]

    def key(self) -> str:
        """A digest of the sources, the headers of the library, and everything else."""
        digest = hashlib.sha256()
        files = sorted(SOURCES.iterdir()) + sorted((self.place.include / "paceline").glob("*.h*"))
        for file in files:
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
        words = [torch.__version__, str(torch.version.git_version), sys.version,
                 str(sysconfig.get_config_var("SOABI")), self.compiler, *FLAGS, *self.includes(),
                 *self.definitions(), *self.link()]
        digest.update("\0".join(words).encode())
        return digest.hexdigest()[:16]


def plan() -> Plan:
    """For this Python, its torch and its Paceline."""
    return Plan(location(), os.environ.get("CXX", "c++"))


def cache() -> pathlib.Path:
    """The folder of everything compiled."""
    home = os.environ.get("XDG_CACHE_HOME") or str(pathlib.Path.home() / ".cache")
    return pathlib.Path(home) / "paceline"


def built(wanted: Plan) -> pathlib.Path:
    """The module's file, there or not."""
    version = torch.__version__.replace("+", "-")
    return cache() / f"torch-{version}-{wanted.key()}" / f"{MODULE}.so"


def ensure(say: bool = True) -> pathlib.Path:
    """The module's file, compiled if it is not there yet. `say` tells of it on stderr."""
    wanted = plan()
    target = built(wanted)
    if target.exists():
        return target
    if torch_version() < OLDEST:
        raise ImportError(f"paceline.torch needs torch {OLDEST[0]}.{OLDEST[1]} or newer, and this "
                          f"is {torch.__version__}: pip install --upgrade torch")
    _need_compiler(wanted.compiler)
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target.parent / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            return target
        begin = time.monotonic()
        if say:
            print(f"paceline: compiling the backend for torch {torch.__version__}, once, into "
                  f"{target.parent} (a minute or two)", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            _compile(wanted, pathlib.Path(folder))
            os.replace(pathlib.Path(folder) / target.name, target)
        if say:
            print(f"paceline: compiled in {time.monotonic() - begin:.0f} s", file=sys.stderr,
                  flush=True)
    return target


def torch_version() -> tuple[int, int]:
    """Major and minor."""
    major, minor = torch.__version__.split(".")[:2]
    return int(major), int(minor)


def _need_compiler(compiler: str) -> None:
    if shutil.which(shlex.split(compiler)[0]) is None:
        raise ImportError(
            f"paceline.torch compiles its backend for the torch that is installed, and there is no "
            f"C++ compiler: '{compiler}' is not found. Install g++ 11 or newer (Debian: apt "
            "install g++), or name another compiler by CXX, or build on a machine that has one by "
            f"'python -m paceline.torch build' and bring {cache()} here")


def _compile(wanted: Plan, folder: pathlib.Path) -> None:
    """Into `folder`: torch's headers once, then the sources side by side, then the module."""
    base = [*shlex.split(wanted.compiler), *FLAGS, *wanted.definitions(), *wanted.includes()]
    prefix = folder / "prefix.h"
    shutil.copy(SOURCES / "prefix.h", prefix)
    _run([*base, "-x", "c++-header", str(prefix), "-o", f"{prefix}.gch"])

    def compile_one(source: pathlib.Path) -> str:
        target = folder / f"{source.stem}.o"
        # The folder comes first, so that the compiled prefix is found and not the text.
        _run([*base, "-include", str(prefix), "-c", str(source), "-o", str(target)])
        return str(target)

    workers = max(1, len(os.sched_getaffinity(0)))
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        objects = list(pool.map(compile_one, sorted(SOURCES.glob("*.cpp"))))
    _run([*shlex.split(wanted.compiler), *objects, *wanted.link(), "-o",
          str(folder / f"{MODULE}.so")])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ImportError("paceline.torch could not compile its backend for torch "
                          f"{torch.__version__}. The command was\n  {shlex.join(command)}\nand it "
                          f"said\n{done.stderr[-4000:]}")
