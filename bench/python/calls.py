"""One rank of bench/python/run:   python calls.py paceline|paceline-empty|mpi4py BYTES...

Prints, on rank 0, "BYTES MICROSECONDS" per size: of one blocking all_reduce in place of float32."""

import sys
import time
from typing import Callable

import numpy as np

TIMED = 0.2  # seconds of calls per size: many thousands of small ones, and a thousand of 1 MiB
WARM_UP = 100  # calls: plans, links and caches


#: This rank, what makes a call for arrays of so many bytes, and the largest of all ranks' numbers.
Library = tuple[int, Callable[[int], Callable[[], object]], Callable[[float], float]]


def paceline_call(ours: bool) -> Library:
    import paceline
    comm = paceline.init()

    def of(nbytes: int) -> Callable[[], object]:
        x = comm.empty(nbytes // 4) if ours else np.zeros(nbytes // 4, np.float32)
        return lambda: comm.all_reduce(x)

    return comm.rank, of, lambda number: float(comm.all_reduce(np.array([number]), "max")[0])


def mpi4py_call() -> Library:
    from mpi4py import MPI
    world = MPI.COMM_WORLD

    def of(nbytes: int) -> Callable[[], object]:
        x = np.zeros(nbytes // 4, np.float32)
        return lambda: world.Allreduce(MPI.IN_PLACE, x)

    return world.rank, of, lambda number: world.allreduce(number, MPI.MAX)


def seconds(call: Callable[[], object], times: int) -> float:
    begin = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - begin) / times


def main() -> None:
    library = sys.argv[1]
    rank, of, largest = mpi4py_call() if library == "mpi4py" else paceline_call(library == "paceline-empty")
    for nbytes in map(int, sys.argv[2:]):
        call = of(nbytes)
        seconds(call, WARM_UP)
        # As many on each rank, and few where other work has the cores.
        times = max(50, int(TIMED / largest(seconds(call, WARM_UP))))
        took = seconds(call, times)
        if rank == 0:
            print(nbytes, 1e6 * took, flush=True)


main()
