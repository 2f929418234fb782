"""What the ranks of several tests need."""

import time
from typing import Any, Callable

import ml_dtypes
import numpy as np

import paceline

FLOATS = [np.dtype(t) for t in (np.float32, np.float64, np.float16, ml_dtypes.bfloat16,
                                ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2)]
INTEGERS = [np.dtype(t) for t in (np.int8, np.int32, np.int64, np.uint8, np.uint32, np.uint64)]
BOOL = np.dtype(np.bool_)
TYPES = [*FLOATS, *INTEGERS, BOOL]


def contribution(rank: int, count: int, dtype: np.dtype) -> np.ndarray:
    """Small whole numbers, so that every type holds their sums and products exactly: 1, 2 or 3,
    alternating with the rank; of bool, true for some."""
    values = (np.arange(count) + rank) % 3
    return (values == 0 if dtype == BOOL else values % 2 + 1).astype(dtype)


def all_contributions(size: int, count: int, dtype: np.dtype) -> np.ndarray:
    return np.stack([contribution(r, count, dtype) for r in range(size)])


def equal(x: Any, expected: Any) -> bool:
    """The same values; short floats are compared as float32."""
    return np.array_equal(np.asarray(x).astype(np.float64), np.asarray(expected).astype(np.float64))


def raised(kind: type, call: Callable[[], Any], *parts: str) -> BaseException:
    """The exception of that kind that the call raises, whose text has all the parts."""
    try:
        result = call()
    except kind as error:
        for part in parts:
            assert part in str(error), f"{part!r} is not in: {error}"
        return error
    raise AssertionError(f"nothing was raised, {kind.__name__} was expected; it gave {result!r}")


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.01)


def same_error_everywhere(comm: paceline.Communicator) -> None:
    """A communicator that has failed says so at every call."""
    assert comm.failed
    raised(paceline.Error, lambda: comm.barrier())
