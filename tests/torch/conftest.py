"""Ranks as processes of a test, which end with it."""

import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

HERE = pathlib.Path(__file__).parent
# Of a test. Ranks import torch, which alone takes a minute where many others want the cores.
CASE_TIMEOUT = 400


def free_port() -> int:
    """A loopback port that nobody listens on, below those that the kernel hands to outgoing
    connections: one of these could take it before rank 0 does."""
    while True:
        with socket.socket() as probe:
            port = random.randrange(20000, 30000)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Ranks:
    """The processes of one case, all of one size."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, script: str, cases: list[str], size: int, **variables: str) -> None:
        """tests/torch/SCRIPT CASES..., as torchrun would start it."""
        port = free_port()
        for rank in range(size):
            env = os.environ | {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank),
                                "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
                                "OMP_NUM_THREADS": "1"} | variables
            with open(self.folder / f"{rank}.txt", "wb") as out:
                self.processes.append(subprocess.Popen(
                    [sys.executable, str(HERE / script), *cases], env=env, stdin=subprocess.DEVNULL,
                    stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
                    cwd=self.folder))

    def output(self, rank: int) -> str:
        """What the rank has said so far."""
        return (self.folder / f"{rank}.txt").read_text(errors="replace")

    def wait(self, seconds: float = CASE_TIMEOUT) -> list[int]:
        """Exit codes, when all have ended."""
        end = time.monotonic() + seconds
        for process in self.processes:
            try:
                process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                pytest.fail(f"not over after {seconds} s:\n{self.said()}")
        return [process.returncode for process in self.processes]

    def wait_for_text(self, text: str, rank: int, seconds: float = CASE_TIMEOUT) -> None:
        """Until the rank says it."""
        end = time.monotonic() + seconds
        while text not in self.output(rank):
            if time.monotonic() > end:
                pytest.fail(f"rank {rank} does not say {text!r}:\n{self.said()}")
            time.sleep(0.05)

    def kill(self, rank: int) -> None:
        """As the kernel's OOM killer would."""
        self.processes[rank].send_signal(signal.SIGKILL)

    def said(self) -> str:
        """For a failure's text."""
        return "".join(f"--- rank {rank}\n{self.output(rank)[-4000:]}"
                       for rank in range(len(self.processes)))

    def end(self) -> None:
        """None outlives its test."""
        for process in self.processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()


@pytest.fixture
def ranks(tmp_path: pathlib.Path) -> Iterator[Ranks]:
    """Nothing started yet."""
    started = Ranks(tmp_path)
    yield started
    started.end()


@pytest.fixture
def run(ranks: Ranks) -> Callable[..., None]:  # pylint: disable=redefined-outer-name
    """Runs cases that have to succeed on all ranks."""
    def run_cases(script: str, cases: list[str], size: int, **variables: str) -> None:
        ranks.start(script, cases, size, **variables)
        assert ranks.wait() == [0] * size, ranks.said()
    return run_cases
