"""What goes wrong, one class per kind. Every text says what was given, what is allowed, what to do,
and names the culprit."""

from __future__ import annotations

import builtins
import enum
from typing import ClassVar, Optional


class ErrorCode(enum.IntEnum):
    """The kind of a failure, with the number that it has in C++."""

    invalid_argument = 1
    invalid_configuration = 2
    bootstrap_failed = 3
    authentication_failed = 4
    mismatch = 5
    timeout = 6
    peer_failed = 7
    aborted = 8
    transport_failed = 9
    out_of_memory = 10
    unsupported = 11
    internal = 12


class Error(RuntimeError):
    """Any failure of the library.

    The first one (but for InvalidArgument) makes a communicator failed for good: every later call
    raises the same, and nothing is written into any array after it was raised."""

    #: The kind of failure, which is also said by the class.
    code: ClassVar[ErrorCode] = ErrorCode.internal
    #: The rank that reports, if it is known.
    rank: Optional[int] = None
    #: The rank that is to blame, if one is known.
    peer: Optional[int] = None
    #: What was being called, for example "all_reduce(1024 x float32, sum)"; else empty.
    operation: str = ""
    #: The how-manieth call on the communicator it was, from 0.
    sequence: Optional[int] = None


class InvalidArgument(Error, ValueError):
    """A call was given something that it cannot take. Nothing was sent; go on."""

    code = ErrorCode.invalid_argument


class ConfigurationError(Error, ValueError):
    """An argument of init(), or a PACELINE_ variable, is wrong."""

    code = ErrorCode.invalid_configuration


class BootstrapError(Error):
    """The ranks could not meet."""

    code = ErrorCode.bootstrap_failed


class AuthenticationError(BootstrapError):
    """A peer does not know the job's secret."""

    code = ErrorCode.authentication_failed


class MismatchError(Error):
    """The ranks called different things; the text names both."""

    code = ErrorCode.mismatch


class TimeoutError(Error, builtins.TimeoutError):
    """An operation passed its deadline; or Work.wait(timeout) did, and the operation goes on."""

    code = ErrorCode.timeout


class PeerFailedError(Error):
    """A rank died, left or went silent: `peer`."""

    code = ErrorCode.peer_failed


class AbortedError(Error):
    """Some rank called abort(), was interrupted, or left its `with` block by an exception."""

    code = ErrorCode.aborted


class TransportError(Error):
    """A wire broke."""

    code = ErrorCode.transport_failed


class OutOfMemoryError(Error, MemoryError):
    """Memory, locked memory or descriptors ran out."""

    code = ErrorCode.out_of_memory


class UnsupportedError(Error, NotImplementedError):
    """This version, or this machine, cannot do it: memory of a GPU, for example."""

    code = ErrorCode.unsupported


class InternalError(Error):
    """A defect of the library."""

    code = ErrorCode.internal


#: The class for each code; what the extension module looks up.
BY_CODE: dict[int, type[Error]] = {
    int(kind.code): kind
    for kind in (InvalidArgument, ConfigurationError, BootstrapError, AuthenticationError,
                 MismatchError, TimeoutError, PeerFailedError, AbortedError, TransportError,
                 OutOfMemoryError, UnsupportedError, InternalError)
}
