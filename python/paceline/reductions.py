"""How the contributions of the ranks are combined."""

from __future__ import annotations

import enum
from typing import Any, Callable, Union

from . import _native


class ReduceOp(enum.IntEnum):
    """An operation; its name ("sum") does as well. docs/design/numerics.md says what comes out."""

    sum = 1
    prod = 2
    min = 3
    max = 4
    #: The sum divided by the number of ranks; of integers towards zero. Not of bool.
    avg = 5
    #: Bitwise, of integers and bool.
    band = 7
    bor = 8
    bxor = 9


#: What every argument `op` takes.
Op = Union[str, ReduceOp, _native.Reduction]


def premul_sum(factor: float) -> _native.Reduction:
    """The sum of each rank's contribution times that rank's own factor, of floating point. The
    product is rounded to the type of the elements before it is summed."""
    return _native.premul_sum(float(factor))


def custom(function: Callable[[Any, Any], object]) -> _native.Reduction:
    """A reduction of your own: `function(inout, other)` gets two NumPy arrays of one dimension and
    equal length, and writes their combination into the first, which comes from lower ranks. It must
    be associative, and the same on all ranks.

    It is called for pieces of the arrays, in any order, in whatever thread makes progress, with the
    interpreter's lock held. The arrays are valid during the call only. It must not call the library.
    What it raises fails the communicator, with the text in everybody's error. A reduction in Python
    is slow: for large arrays prefer the built-in ones."""
    return _native.custom(function)
