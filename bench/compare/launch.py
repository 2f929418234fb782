"""One launch: the ranks of one library, from their start to the last process's end.

The results come in a file, a line for each size as soon as it is done, so that what a library did
before it hung or died is kept. A library hangs when no line comes for a while; then all of its
processes are killed. This process is made the reaper of whatever a launcher leaves behind, so that
none of it outlives the launch.
"""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import time
import typing

import machine
from namespaces import Cable  # which finds the modules of tests/process, too

import children  # noqa: E402

POLL = 0.05  # seconds between two looks at the processes and at the results
# Variables by which one launcher's ranks would be taken for another's.
LAUNCHERS = ("PACELINE_RANK", "PACELINE_SIZE", "PACELINE_ROOT", "PACELINE_SECRET", "PMI", "PMIX",
             "SLURM_", "OMPI_COMM_WORLD", "HYDI_", "HYDRA_", "MPI_LOCAL")
# Variables that change what a library does, and are left as they are.
LIBRARIES = ("PACELINE_", "OMPI_MCA_", "MPIR_CVAR_", "UCX_", "I_MPI_", "FI_", "CCL_", "GLOO_")


@dataclasses.dataclass(frozen=True)
class Start:
    """A process to start: a rank, or a launcher that starts them."""
    command: list[str]
    environment: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Job:
    """What every library is asked to do, and where."""
    ranks: int
    where: str
    collectives: list[str]
    sizes: list[int]
    budget_ms: int
    in_place: bool
    tensors: int  # that make one call
    pinned: bool
    cable: Cable | None
    folder: pathlib.Path = pathlib.Path()  # of one launch

    @property
    def cores(self) -> int:
        return len(machine.allowed_cpus())

    @property
    def crowded(self) -> bool:
        return self.ranks > self.cores

    @property
    def per_host(self) -> int:
        return (self.ranks + 1) // 2 if self.cable else self.ranks

    def host_of(self, rank: int) -> int:
        """Neighbours share a host, but where all is to go over TCP they do not."""
        return rank % 2 if self.where == "tcp" else rank // self.per_host

    def address_of(self, rank: int) -> str:
        return self.cable.addresses[self.host_of(rank)] if self.cable else "127.0.0.1"

    def inside(self, rank: int) -> list[str]:
        return self.cable.inside(self.host_of(rank)) if self.cable else []

    def arguments(self, *, threads: bool = False, ranks: int | None = None) -> list[str]:
        """Of every adapter. `threads`: the library has some of its own that work on calls. Those
        need a core, so that ranks are not tied to one, and sleep while they wait for each other."""
        wait = "block" if threads else "yield" if self.crowded else "spin"
        cpus = machine.allowed_cpus() if self.pinned and not threads else []
        return ["--meeting", str(self.folder / "meeting"), "--store", str(self.folder),
                "--results", str(self.folder / "results"), "--ranks", str(ranks or self.ranks),
                "--collectives", ",".join(self.collectives),
                "--sizes", ",".join(map(str, self.sizes)), "--budget-ms", str(self.budget_ms),
                "--in-place", "yes" if self.in_place else "no",
                "--tensors", str(self.tensors), "--wait", wait,
                "--cpus", ",".join(map(str, cpus))]


@dataclasses.dataclass
class Outcome:
    rows: list[dict]
    trouble: str = ""  # why there are no more of them: "hung", "failed"
    said: str = ""  # what the processes printed


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(LAUNCHERS)}


def settings_of_the_user() -> list[str]:
    return sorted(f"{name}={value}" for name, value in environment().items()
                  if name.startswith(LIBRARIES))


def run(job: Job, make_starts: typing.Callable[[Job], list[Start]], stall: float,
        progress: typing.Callable[[dict], None]) -> Outcome:
    """`stall`: seconds without a new result after which a library hangs."""
    job.folder = machine.folder_in_memory(5 * job.ranks * job.tensors * max(job.sizes))
    try:
        return _watch(job, make_starts(job), stall, progress)
    finally:
        children.kill_all()
        shutil.rmtree(job.folder, ignore_errors=True)


def _watch(job: Job, starts: list[Start], stall: float,
           progress: typing.Callable[[dict], None]) -> Outcome:
    outcome = Outcome([])
    output = job.folder / "output"
    with open(output, "wb") as sink:
        processes = [subprocess.Popen(
            s.command, env=environment() | {"TMPDIR": str(job.folder)} | s.environment,
            stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT,
            start_new_session=True, preexec_fn=children.end_with_parent) for s in starts]
        last = time.monotonic()
        while any(p.poll() is None for p in processes):
            if any(p.returncode for p in processes):
                outcome.trouble = "failed"
                break
            if _collect(job, outcome, progress):
                last = time.monotonic()
            elif time.monotonic() - last > stall:
                outcome.trouble = "hung"
                break
            time.sleep(POLL)
        else:
            if any(p.returncode for p in processes):
                outcome.trouble = "failed"
    children.kill_all()
    _collect(job, outcome, progress)
    outcome.said = output.read_text(encoding="utf-8", errors="replace")
    return outcome


def _collect(job: Job, outcome: Outcome, progress: typing.Callable[[dict], None]) -> bool:
    path = job.folder / "results"
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    new = [json.loads(line) for line in lines[len(outcome.rows):]]
    for row in new:
        outcome.rows.append(row)
        progress(row)
    return bool(new)
