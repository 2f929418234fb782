"""The torch.distributed backend "paceline".

    import paceline.torch
    torch.distributed.init_process_group("paceline")

Importing it registers the backend, and compiles it first where that has not been done for this
torch (a minute or two, once; `python -m paceline.torch build` does it beforehand).
"""

from ._backend import register
from .hooks import average_hook, bf16_hook
from .memory import MemoryUsage, adopt, empty, memory_usage

__all__ = ["MemoryUsage", "adopt", "average_hook", "bf16_hook", "empty", "memory_usage",
           "register"]

register()
