"""Communication hooks for DistributedDataParallel: register_comm_hook(state, hook).

`state` of each is the process group, None being the default one."""

import torch
import torch.distributed as dist

from .memory import adopt, empty


def average_hook(group: dist.ProcessGroup | None,
                 bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
    """The mean of the gradients over the ranks, as without a hook, but faster: DDP's buckets move
    into mappable memory when they are first seen, and the division is part of the reduction."""
    buffer = bucket.buffer()
    adopt(buffer, group)
    work = dist.all_reduce(buffer, op=dist.ReduceOp.AVG, group=group, async_op=True)
    return work.get_future().then(lambda done: done.value()[0])


def bf16_hook(group: dist.ProcessGroup | None,
              bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
    """The same with fp32 gradients rounded to bf16 on the wire: half the bytes. What is lost is
    measured in docs/pytorch.md.

    Gradients of other dtypes go as by average_hook."""
    buffer = bucket.buffer()
    if buffer.dtype != torch.float32:
        return average_hook(group, bucket)
    short = empty(buffer.numel(), dtype=torch.bfloat16, group=group)
    short.copy_(buffer)
    work = dist.all_reduce(short, op=dist.ReduceOp.AVG, group=group, async_op=True)

    def widen(_: torch.futures.Future) -> torch.Tensor:
        buffer.copy_(short)
        return buffer

    return work.get_future().then(widen)
