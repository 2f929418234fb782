"""The libraries that can be compared: what finds, builds and starts each of them.

A library is a Peer. Those here are started rank by rank; mpi.py has those that come with a
launcher.
"""

import dataclasses
import os
import pathlib
import shutil
import socket
import subprocess
import sys

from launch import Job, Start

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = ROOT / "bench" / "compare"
OURS = ("paceline", "paceline-allocate")
# Of ranks on two hosts that are namespaces of this machine, which nobody else reaches.
SECRET = "of this comparison only"
CABLE_PORT = 5000  # nobody else is in the namespaces


class BuildError(Exception):
    pass


@dataclasses.dataclass(frozen=True)
class Missing:
    """A library that is not here, and how to get it."""
    name: str
    how: str


class Builder:
    """Compiles adapters into a folder, and does so again when a source has changed."""

    def __init__(self, folder: pathlib.Path):
        self._folder = folder

    def adapter(self, name: str, source: str, compiler: list[str], libraries: list[str]) -> str:
        self._folder.mkdir(parents=True, exist_ok=True)
        program = self._folder / f"adapter_{name}"
        command = [*compiler, "-std=c++20", "-O3", "-Wall", "-Wextra",
                   f"-I{ROOT / 'include'}", f"-I{ROOT / 'bench'}", str(SOURCES / source),
                   "-o", str(program), *libraries]
        note = self._folder / f"adapter_{name}.command"
        sources = [SOURCES / source, *SOURCES.glob("*.h"), *(ROOT / "bench/common").glob("*.h"),
                   *(ROOT / "include/paceline").glob("*.h")]
        fresh = (program.exists() and note.exists() and note.read_text() == " ".join(command)
                 and program.stat().st_mtime > max(s.stat().st_mtime for s in sources))
        if not fresh:
            print(f"# compiling the adapter of {name}", file=sys.stderr, flush=True)
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode != 0:
                raise BuildError(f"the adapter of {name} does not compile:\n{' '.join(command)}\n"
                                 f"{result.stdout}{result.stderr}")
            note.write_text(" ".join(command))
        return str(program)


class Peer:
    name = ""
    version = ""
    place = ""  # where it was found
    limit = False  # not a library, but what the machine can do

    def build(self, builder: Builder):
        pass

    def refuses(self, job: Job) -> str:
        """Why it cannot do that; empty if it can."""
        return ""

    def settings(self, job: Job) -> str:
        """What it is told apart from its defaults."""
        return "defaults"

    def starts(self, job: Job) -> list[Start]:
        raise NotImplementedError


class Fused(Peer):
    """A library that is called once for all tensors, between copies into one buffer and back."""

    def __init__(self, peer: Peer):
        self._peer = peer
        self.name = f"{peer.name}-fused"
        self.version = peer.version
        self.place = peer.place

    def build(self, builder: Builder):
        self._peer.build(builder)

    def refuses(self, job: Job) -> str:
        return self._peer.refuses(job)

    def settings(self, job: Job) -> str:
        return f"{self._peer.settings(job)}; tensors copied into one buffer and back"

    def starts(self, job: Job) -> list[Start]:
        return [Start([*start.command, "--fused", "yes"], start.environment)
                for start in self._peer.starts(job)]


class RankByRank(Peer):
    """A process is started for each rank, and told its number."""
    program = ""
    threads = False

    def ranks(self, job: Job) -> int:
        return job.ranks

    def options(self, job: Job, rank: int) -> list[str]:
        return []

    def variables(self, job: Job, rank: int, port: int) -> dict[str, str]:
        return {}

    def starts(self, job: Job) -> list[Start]:
        port = CABLE_PORT if job.cable else free_port()
        return [Start(job.inside(rank) + [self.program, "--rank", str(rank),
                                          "--address", job.address_of(rank),
                                          "--root", job.address_of(0), "--port", str(port)]
                      + job.arguments(threads=self.threads, ranks=self.ranks(job))
                      + self.options(job, rank),
                      self.variables(job, rank, port))
                for rank in range(self.ranks(job))]


class Paceline(RankByRank):
    def __init__(self, program: pathlib.Path, memory: str):
        self.name = "paceline" if memory == "plain" else "paceline-allocate"
        self.program = str(program)
        self.place = str(program)
        self.version = _version_of_this_tree()
        self._memory = memory

    def options(self, job: Job, rank: int) -> list[str]:
        return ["--memory", self._memory]

    def variables(self, job: Job, rank: int, port: int) -> dict[str, str]:
        some = {"PACELINE_RANK": str(rank), "PACELINE_SIZE": str(job.ranks),
                "PACELINE_ROOT": f"{job.address_of(0)}:{port}", "PACELINE_SECRET": SECRET}
        return some | ({"PACELINE_TRANSPORT": "tcp"} if job.where == "tcp" else {})

    def settings(self, job: Job) -> str:
        memory = ("buffers from Communicator::allocate" if self._memory == "allocate"
                  else "buffers from the C library")
        return memory + (", PACELINE_TRANSPORT=tcp" if job.where == "tcp" else "")


class Limit(RankByRank):
    limit = True

    def __init__(self, program: pathlib.Path, kind: str):
        self.name = f"limit-{kind}"
        self.program = str(program)
        self.place = str(program)
        self.version = _version_of_this_tree()
        self._kind = kind

    def ranks(self, job: Job) -> int:
        return 2 if self._kind == "cable" else job.ranks

    def options(self, job: Job, rank: int) -> list[str]:
        return ["--limit", self._kind, "--host-ranks", str(job.per_host)]

    def starts(self, job: Job) -> list[Start]:
        if self._kind == "cable":  # one rank at each end
            job = dataclasses.replace(job, where="tcp")
        return super().starts(job)

    def refuses(self, job: Job) -> str:
        if (self._kind == "cable") != (job.cable is not None):
            return "it is of another kind of wire"
        return ""

    def settings(self, job: Job) -> str:
        return "not a library: see docs/comparing.md"


class Gloo(RankByRank):
    threads = True

    def __init__(self, version: str, place: str, algorithm: str):
        self.name = "gloo" if algorithm == "ring" else f"gloo-{algorithm}"
        self.version = version
        self.place = place
        self._algorithm = algorithm

    def build(self, builder: Builder):
        self.program = builder.adapter("gloo", "adapter_gloo.cpp", ["g++"], ["-lgloo"])

    def options(self, job: Job, rank: int) -> list[str]:
        return ["--algorithm", self._algorithm]

    def refuses(self, job: Job) -> str:
        return "it prepares one call at a time" if job.tensors > 1 else ""

    def settings(self, job: Job) -> str:
        return (f"algorithm {self._algorithm}, over TCP, which is all it has; not pinned, since it "
                "has a thread of its own for each rank")


class Given(RankByRank):
    """A library of the user's, by the path of its adapter."""

    def __init__(self, name: str, program: pathlib.Path):
        self.name = name
        self.program = str(program)
        self.place = str(program)
        self.version = "given"

    def settings(self, job: Job) -> str:
        return "given by --adapter"


def find_gloo() -> list[Peer | Missing]:
    header = next((d for d in ("/usr/include", "/usr/local/include")
                   if os.path.exists(f"{d}/gloo/allreduce.h")), None)
    if header is None:
        return [Missing("gloo", "apt-get install libgloo-dev")]
    version = debian_version("libgloo-dev")
    return [Gloo(version, f"{header}/gloo", algorithm) for algorithm in ("ring", "bcube")]


def debian_version(package: str) -> str:
    if shutil.which("dpkg-query") is None:
        return "version unknown"
    result = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package],
                            capture_output=True, text=True, check=False)
    return result.stdout or "version unknown"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _version_of_this_tree() -> str:
    result = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"],
                            capture_output=True, text=True, check=False)
    return result.stdout.strip() or "this folder"
