"""What a program with types may write; checked by mypy --strict, never run."""

from typing import Optional

import numpy as np

import paceline


async def use(comm: paceline.Communicator) -> None:
    x = np.ones(3, dtype=np.float32)
    comm.all_reduce(x, "sum")
    comm.all_reduce(x, paceline.ReduceOp.max, out=np.empty_like(x))
    comm.all_reduce(x, paceline.premul_sum(0.5))
    work: paceline.Work = comm.all_reduce_async(x)
    done: bool = work.done()
    await work
    work.wait(timeout=0.5 if done else None)
    with comm.group() as group:
        comm.broadcast(x, root=0)
    again: Optional[paceline.Work] = group.work
    part: Optional[paceline.Communicator] = comm.split(comm.rank % 2)
    names: list[str] = [wire.transport for wire in comm.wires()]
    took: list[float] = [call.finished - call.started for call in comm.history()]
    try:
        comm.barrier()
    except paceline.PeerFailedError as error:
        culprit: Optional[int] = error.peer
        print(culprit, names, took, again, part)


def main() -> None:
    with paceline.init(timeout=5.0) as comm:
        print(comm.rank, comm.size, comm.usage().links)
