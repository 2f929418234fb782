"""What an event loop gets done beside an all_reduce:   mpirun -n 2 python asyncio_overlap.py"""

import asyncio
import time

import numpy as np

import paceline

MIB = 64  # enough to last some milliseconds


async def count_until(stop: asyncio.Event) -> int:
    """Anything that a server does meanwhile."""
    turns = 0
    while not stop.is_set():
        turns += 1
        await asyncio.sleep(0)
    return turns


async def main(comm: paceline.Communicator) -> None:
    gradients = np.ones(MIB * 2**20 // 4, dtype=np.float32)
    stop = asyncio.Event()
    counting = asyncio.create_task(count_until(stop))
    begin = time.perf_counter()
    await comm.all_reduce_async(gradients)
    took = time.perf_counter() - begin
    stop.set()
    assert (gradients == comm.size).all()
    print(f"rank {comm.rank}: {MIB} MiB in {1e3 * took:.1f} ms, and {await counting} turns of the "
          "loop beside it")


with paceline.init() as comm:
    asyncio.run(main(comm))
