"""Loads what was compiled, and makes it known to torch.distributed."""

import atexit
import importlib.util
import os
import sys
import warnings
import weakref
from types import ModuleType
from typing import Any

import torch
import torch.distributed as dist

from . import build

DEFAULT_TIMEOUT = torch.distributed.constants.default_pg_timeout
_loaded: ModuleType | None = None
_backends: "weakref.WeakSet[Any]" = weakref.WeakSet()


def native() -> ModuleType:
    """The compiled module."""
    global _loaded
    if _loaded is None:
        check_version()
        spec = importlib.util.spec_from_file_location("_native", build.ensure())
        assert spec is not None and spec.loader is not None
        _loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(_loaded)
    return _loaded


def check_version() -> None:
    """A torch that is newer than what was tested is worth a line, and no reason to stop."""
    if build.torch_version() > build.NEWEST_TESTED:
        newest = ".".join(map(str, build.NEWEST_TESTED))
        warnings.warn(f"paceline.torch is tested with torch up to {newest}, and this is "
                      f"{torch.__version__}; it may work", stacklevel=3)


def create(options: Any, _backend_options: Any = None) -> Any:
    """What torch calls for each process group; all of its ranks do."""
    environment = {name: value for name, value in os.environ.items()
                   if name.startswith("PACELINE_")}
    timeout = options.timeout.total_seconds()
    # Half an hour is what torch says where the program says nothing.
    if options.timeout == DEFAULT_TIMEOUT and "PACELINE_TIMEOUT" in environment:
        timeout = float(environment["PACELINE_TIMEOUT"])
    backend = native().create(options.store, options.group_rank, options.group_size, timeout,
                              options.group_id or "group", environment)
    _backends.add(backend)
    return backend


def backend_of(group: dist.ProcessGroup | None = None) -> Any:
    """The paceline backend of a process group (of the default one)."""
    found = group if group is not None else dist.distributed_c10d._get_default_group()
    return found._get_backend(torch.device("cpu"))


def register() -> None:
    """Makes "paceline" a backend of torch.distributed; again is harmless."""
    native()
    if "paceline" in dist.Backend.backend_list:
        return
    dist.Backend.register_backend("paceline", create, extended_api=True, devices=["cpu", "cuda"])


@atexit.register
def _leave() -> None:
    """Groups that the program has not destroyed leave while Python is still whole: their threads
    may call back into it."""
    for backend in list(_backends):
        try:
            native().shutdown(backend)
        except Exception as error:  # the program's own end matters more
            print(f"paceline: while leaving: {error}", file=sys.stderr)
