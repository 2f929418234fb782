"""Tensors in memory that the ranks of a host map: collectives on them need no copy."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.distributed as dist

from ._backend import backend_of, native


class MemoryUsage(NamedTuple):
    """Bytes of one process group on this rank."""

    in_use: int  # by tensors
    kept: int  # freed, for the next tensor of that length


def empty(*size: int | Sequence[int], dtype: torch.dtype | None = None,
          group: dist.ProcessGroup | None = None) -> torch.Tensor:
    """An uninitialised tensor on the CPU, as torch.empty, in memory of the group's communicator.

    The memory is kept for the next tensor when this one is gone, and freed with the group."""
    shape = size[0] if len(size) == 1 and not isinstance(size[0], int) else size
    return native().empty(backend_of(group), list(shape), dtype or torch.get_default_dtype())


def adopt(tensor: torch.Tensor, group: dist.ProcessGroup | None = None) -> bool:
    """Moves a tensor's storage into such memory, with all tensors that share the storage.

    Its old memory is freed, so that nothing else may point to it, as an array from numpy() does.
    Returns False if it is there already."""
    return bool(native().adopt(backend_of(group), tensor))


def memory_usage(group: dist.ProcessGroup | None = None) -> MemoryUsage:
    """What empty() and adopt() hold."""
    return MemoryUsage(*native().memory_usage(backend_of(group)))
