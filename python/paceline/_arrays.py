"""New arrays: like one that a call was given, and over memory of the library."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from typing import Any, Callable, Sequence, Union

import numpy as np

from . import _native
from .errors import InvalidArgument


def like(x: Any, ranks: int, what: str) -> Any:
    """The output that a call makes itself: of the "same" shape as x, with one x for each rank
    ("gather"), or with one of `ranks` parts of its rows ("scatter")."""
    shape = getattr(x, "shape", None)
    if shape is None:
        raise InvalidArgument(f"x is of type {type(x).__name__}, for which no output can be made: "
                              "give out, or an array of NumPy or torch")
    shape = tuple(shape)
    if what == "gather":
        shape = (ranks, *shape)
    elif what == "scatter":
        if not shape or shape[0] % ranks != 0:
            raise InvalidArgument(f"x has shape {shape}: its rows cannot be dealt out to {ranks} "
                                  "ranks; give out, or a number of rows that they divide")
        shape = (shape[0] // ranks, *shape[1:])
    if hasattr(x, "new_empty"):  # torch
        return x.new_empty(shape)
    if isinstance(x, np.ndarray):
        return np.empty(shape, x.dtype)
    raise InvalidArgument(f"x is of type {type(x).__module__}.{type(x).__name__}, for which no "
                          "output can be made: give out")


def over(allocate: Callable[[int], _native.Memory], shape: Union[int, Sequence[int]],
         dtype: Any) -> Any:
    """A NumPy array over newly allocated memory, which lives as long as any view of it."""
    element = np_dtype(dtype)
    try:
        lengths = tuple(map(operator.index, shape if isinstance(shape, Iterable) else (shape,)))
    except TypeError:
        raise InvalidArgument(f"shape is {shape!r}: give a length, or a sequence of lengths") from None
    if any(n < 0 for n in lengths):
        raise InvalidArgument(f"shape is {lengths}: lengths are 0 and above")
    nbytes = element.itemsize * math.prod(lengths)
    if nbytes >= 2**63:
        raise InvalidArgument(f"shape is {lengths}: {nbytes} bytes do not fit into memory")
    memory = allocate(max(nbytes, 1))
    return np.ndarray(lengths, element, buffer=memoryview(memory))


def np_dtype(dtype: Any) -> "np.dtype[Any]":
    """NumPy's for whatever names one: "bfloat16" and its like are those of ml_dtypes."""
    name = str(dtype).removeprefix("torch.")
    if name in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
        try:
            import ml_dtypes
        except ImportError:
            raise InvalidArgument(f"NumPy has no {name} of its own: pip install ml_dtypes") from None
        dtype = getattr(ml_dtypes, name)
    elif name != str(dtype):
        dtype = name
    try:
        element: np.dtype[Any] = np.dtype(dtype)
    except TypeError as error:
        raise InvalidArgument(f"dtype is {dtype!r}: {error}") from None
    if element.hasobject:
        raise InvalidArgument("dtype is object: memory of the library holds numbers only")
    return element
