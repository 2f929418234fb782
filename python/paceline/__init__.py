"""Paceline: collective communication for distributed training.

    import numpy as np
    import paceline

    with paceline.init() as comm:
        x = np.full(4, comm.rank, dtype=np.float32)
        comm.all_reduce(x)
        print(comm.rank, x)

Start it with mpirun, srun or torchrun. Errors are paceline.Error and its subclasses."""

from __future__ import annotations

import os as _os

from . import _native
from .communicator import Communicator, Group, Registration, init
from .errors import (AbortedError, AuthenticationError, BootstrapError, ConfigurationError, Error,
                     ErrorCode, InternalError, InvalidArgument, MismatchError, OutOfMemoryError,
                     PeerFailedError, TimeoutError, TransportError, UnsupportedError)
from .records import OperationRecord, Usage, Wire
from .reductions import ReduceOp, custom, premul_sum
from .work import Work

__version__: str = _native.VERSION

__all__ = [
    "AbortedError", "AuthenticationError", "BootstrapError", "Communicator", "ConfigurationError",
    "Error", "ErrorCode", "Group", "InternalError", "InvalidArgument", "MismatchError",
    "OperationRecord", "OutOfMemoryError", "PeerFailedError", "ReduceOp", "Registration",
    "TimeoutError", "TransportError", "UnsupportedError", "Usage", "Wire", "Work", "custom",
    "get_include", "get_library_dir", "init", "premul_sum",
]


def get_include() -> str:
    """The folder for -I: C++ programs include <paceline/paceline.hpp> from it."""
    return _os.path.join(_os.path.dirname(_os.path.abspath(__file__)), "include")


def get_library_dir() -> str:
    """The folder of libpaceline.so.0, the library that this package itself uses."""
    return _os.path.join(_os.path.dirname(_os.path.abspath(__file__)), "lib")
