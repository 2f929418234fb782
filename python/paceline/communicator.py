"""The face: init() and Communicator."""

from __future__ import annotations

import atexit
import os
import weakref
from types import TracebackType
from typing import Any, Optional, Sequence, Union

from . import _native
from ._arrays import like, over
from .records import OperationRecord, Usage, Wire
from .reductions import Op
from .work import Work

# Of the library's enum Collective (include/paceline/types.h).
_ALL_REDUCE, _BROADCAST, _BARRIER, _REDUCE_SCATTER, _ALL_GATHER = 1, 2, 3, 4, 5
_ALL_TO_ALL, _REDUCE, _GATHER, _SCATTER = 6, 7, 8, 9

# What atexit closes, so that a rank that ends says goodbye instead of being taken for dead.
_open: "weakref.WeakSet[Communicator]" = weakref.WeakSet()


def init(*, store: Union[None, str, "os.PathLike[str]", Any] = None, name: str = "world",
         **config: Any) -> "Communicator":
    """A communicator of all ranks of the job. Blocks until they have met, at most for `timeout`.

    Who this rank is, it finds out by itself under mpirun, mpiexec, srun and torchrun, or from
    PACELINE_RANK, PACELINE_SIZE and PACELINE_ROOT; without any of them the communicator has one
    rank.

    store   where the ranks meet, in place of the launcher's channel: the path of a folder that all
            ranks share and that is private to the job, or an object with `set(key: str, value:
            bytes)` and `get(key: str, timeout: float) -> bytes`, which waits until the key is set
    name    tells several communicators in one store apart
    config  fields of Config, over what the environment says: rank, size, root, secret, transports,
            timeout (seconds), log_level ("info"), ...; docs/configuration.md has them all

    Raises ConfigurationError, BootstrapError, AuthenticationError, TimeoutError; KeyboardInterrupt
    ends the wait."""
    return Communicator(_native.create(dict(os.environ), config, store, name))


class Communicator:
    """A fixed group of ranks that call collectives together and send to each other.

    All ranks make the same collective calls in the same order; a difference is found and raised as
    MismatchError, it never overwrites memory.

    Arrays may be NumPy arrays, torch tensors on the CPU, anything with `__dlpack__` in memory of the
    host, and anything with the buffer protocol; contiguous, in C order, aligned to its type. They
    count as a row of elements: shapes are not compared, the number of elements is. Elements are
    float64, float32, float16, bfloat16, float8_e4m3fn, float8_e5m2, integers of 8, 32 and 64 bits
    and bool, the same on all ranks. Input and output are in place, as the call says, or disjoint.

    Calls block, and release the interpreter's lock meanwhile. With `async_=True` they return Work;
    the arrays belong to the operation until it is done.

    Threads: several may use it, as long as the order of their calls is the same on all ranks; each
    call waits for those of other threads. abort() may be called at any time.

    Ctrl-C (and whatever else a signal's handler raises) ends a blocking call within about 0.1 s. An
    operation cannot be taken back, so the communicator has then failed, and the other ranks raise
    AbortedError. A wait for Work only stops waiting.

    After fork() the child cannot use it, nor memory of empty(); forking, as DataLoader workers do,
    harms nobody."""

    __slots__ = ("_native", "__weakref__")

    def __init__(self, native: _native.Communicator) -> None:
        self._native = native
        _open.add(self)

    # --- facts -----------------------------------------------------------------------------------

    @property
    def rank(self) -> int:
        """This process's number, from 0."""
        return self._native.rank

    @property
    def size(self) -> int:
        """How many ranks there are."""
        return self._native.size

    @property
    def hosts(self) -> int:
        """How many hosts they are on."""
        return self._native.hosts

    @property
    def ranks_on_host(self) -> int:
        """Ranks on this rank's host, itself included."""
        return self._native.ranks_on_host

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._native.closed

    @property
    def failed(self) -> bool:
        """Whether it has failed, so that every call raises why. Never blocks."""
        return self._native.failed

    @property
    def config(self) -> dict[str, Any]:
        """The Config in force, but for the secret; times are in seconds."""
        return self._native.config()

    def wires(self) -> list[Wire]:
        """Which wire leads to each rank, and why not a faster one."""
        return [Wire(*wire) for wire in self._native.wires()]

    def usage(self) -> Usage:
        """What this rank's side holds of the process's resources."""
        return Usage(*self._native.usage())

    def history(self) -> list[OperationRecord]:
        """The last calls, oldest first; also after a failure."""
        return [OperationRecord(*record) for record in self._native.history()]

    def write_history(self, path: Union[str, "os.PathLike[str]"], format: str = "json") -> None:
        """The same into a file, as "json" or, for chrome://tracing and Perfetto, "chrome_trace"."""
        self._native.write_history(os.fspath(path), format)

    def algorithm_for(self, collective: str, count: int, dtype: Any = "float32") -> str:
        """The algorithm that a call with blocks of `count` elements takes; the same on all ranks."""
        return self._native.algorithm_for(collective, count, getattr(dtype, "name", str(dtype)))

    # --- collectives -----------------------------------------------------------------------------

    def all_reduce(self, x: Any, op: Op = "sum", *, out: Any = None,
                   algorithm: Optional[str] = None, async_: bool = False) -> Any:
        """out[i] = x[i] of rank 0, op x[i] of rank 1, ...; every rank gets the same bits. In place
        without `out`. Returns the array with the result.

        op         "sum", "prod", "min", "max", "avg", "band", "bor", "bxor", a ReduceOp,
                   premul_sum(factor) or custom(function)
        algorithm  instead of the one that the library would choose, the same on all ranks
        async_     returns Work at once

        Raises Error (see paceline.errors)."""
        result = x if out is None else out
        if async_:
            return Work(self._native.collective(_ALL_REDUCE, x, out, op, 0, algorithm, True), result)
        self._native.collective(_ALL_REDUCE, x, out, op, 0, algorithm, False)
        return result

    def all_reduce_async(self, x: Any, op: Op = "sum", *, out: Any = None,
                         algorithm: Optional[str] = None) -> Work:
        """all_reduce(..., async_=True)."""
        result = x if out is None else out
        return Work(self._native.collective(_ALL_REDUCE, x, out, op, 0, algorithm, True), result)

    def reduce_scatter(self, x: Any, op: Op = "sum", *, out: Any = None,
                       algorithm: Optional[str] = None, async_: bool = False) -> Any:
        """`x` has a block for each rank; rank r gets block r of what all_reduce of `x` would give,
        as `out`. Without `out`, a new array like `x` with 1/size of its rows. In place: out is this
        rank's block of x. Returns `out`."""
        if out is None:
            out = like(x, self.size, "scatter")
        return self._call(_REDUCE_SCATTER, x, out, op, 0, algorithm, async_, out)

    def all_gather(self, x: Any, *, out: Any = None, algorithm: Optional[str] = None,
                   async_: bool = False) -> Any:
        """Block r of `out`, which has one for each rank, is the x of rank r. Without `out`, a new
        array of shape (size, *x.shape). In place: x is this rank's block of out. Returns `out`."""
        if out is None:
            out = like(x, self.size, "gather")
        return self._call(_ALL_GATHER, x, out, "sum", 0, algorithm, async_, out)

    def all_to_all(self, x: Any, *, out: Any = None, algorithm: Optional[str] = None,
                   async_: bool = False) -> Any:
        """Block j of `x` goes to rank j, block j of `out` comes from rank j; both have a block for
        each rank. Without `out`, a new array like x. In place: out=x. Returns `out`."""
        if out is None:
            out = like(x, self.size, "same")
        return self._call(_ALL_TO_ALL, x, out, "sum", 0, algorithm, async_, out)

    def broadcast(self, x: Any, root: int = 0, *, algorithm: Optional[str] = None,
                  async_: bool = False) -> Any:
        """The x of rank `root` into everybody's `x`. Returns `x`."""
        return self._call(_BROADCAST, x, None, "sum", root, algorithm, async_, x)

    def reduce(self, x: Any, root: int = 0, op: Op = "sum", *, out: Any = None,
               algorithm: Optional[str] = None, async_: bool = False) -> Any:
        """As all_reduce, but only rank `root` gets the result, in `out`, or in `x` without it.
        Returns the array with the result at the root, None elsewhere, where nothing is written."""
        mine = self.rank == root
        result = (x if out is None else out) if mine else None
        return self._call(_REDUCE, x, out if mine else None, op, root, algorithm, async_, result)

    def gather(self, x: Any, root: int = 0, *, out: Any = None, algorithm: Optional[str] = None,
               async_: bool = False) -> Any:
        """As all_gather, but only rank `root` gets the result. Returns `out` at the root, None
        elsewhere, where `out` is not looked at."""
        mine = self.rank == root
        if mine and out is None:
            out = like(x, self.size, "gather")
        return self._call(_GATHER, x, out if mine else None, "sum", root, algorithm, async_,
                          out if mine else None)

    def scatter(self, x: Any, out: Any, root: int = 0, *, algorithm: Optional[str] = None,
                async_: bool = False) -> Any:
        """Block r of the `x` of rank `root`, which has one for each rank, goes to rank r's `out`.
        Beside the root x may be None. In place at the root: out is its own block of x. Returns
        `out`."""
        return self._call(_SCATTER, x if self.rank == root else None, out, "sum", root, algorithm,
                          async_, out)

    def barrier(self, *, async_: bool = False) -> Any:
        """Returns when every rank has called it."""
        return self._call(_BARRIER, None, None, "sum", 0, None, async_, None)

    def _call(self, which: int, x: Any, out: Any, op: Op, root: int, algorithm: Optional[str],
              async_: bool, result: Any) -> Any:
        work = self._native.collective(which, x, out, op, root, algorithm, async_)
        return result if work is None else Work(work, result)

    # --- with a length per rank ------------------------------------------------------------------
    # `counts` are lengths in elements, one for each rank. Block r begins `displacements[r]` elements
    # after the start of the array, or right behind block r - 1 without them. Blocks do not overlap.

    def all_gather_v(self, x: Any, counts: Sequence[int], out: Any, *,
                     displacements: Optional[Sequence[int]] = None, async_: bool = False) -> Any:
        """Block r of `out` is the x of rank r, which has counts[r] elements. All ranks give the same
        counts. Returns `out`."""
        return self._result(
            self._native.all_gather_v(x, counts, out, displacements, async_), out)

    def reduce_scatter_v(self, x: Any, counts: Sequence[int], out: Any, op: Op = "sum", *,
                         displacements: Optional[Sequence[int]] = None,
                         async_: bool = False) -> Any:
        """Rank r gets block r of `x`, combined over all ranks, as `out`. All ranks give the same
        counts. Returns `out`."""
        return self._result(
            self._native.reduce_scatter_v(x, counts, out, op, displacements, async_), out)

    def all_to_all_v(self, x: Any, in_counts: Sequence[int], out: Any, out_counts: Sequence[int], *,
                     in_displacements: Optional[Sequence[int]] = None,
                     out_displacements: Optional[Sequence[int]] = None,
                     async_: bool = False) -> Any:
        """Block j of `x` goes to rank j, block j of `out` comes from rank j. Returns `out`."""
        return self._result(
            self._native.all_to_all_v(x, in_counts, out, out_counts, in_displacements,
                                      out_displacements, async_), out)

    def gather_v(self, x: Any, counts: Optional[Sequence[int]] = None, out: Any = None,
                 root: int = 0, *, displacements: Optional[Sequence[int]] = None,
                 async_: bool = False) -> Any:
        """The x of rank r into block r of the root's `out`. `counts` and `out` count at the root
        only, which gets `out` returned; others get None."""
        result = out if self.rank == root else None
        return self._result(
            self._native.gather_v(x, counts, out, root, displacements, async_), result)

    def scatter_v(self, x: Any, counts: Optional[Sequence[int]], out: Any, root: int = 0, *,
                  displacements: Optional[Sequence[int]] = None, async_: bool = False) -> Any:
        """Block r of the root's `x` to rank r, whose `out` has as many elements. `x` and `counts`
        count at the root only. Returns `out`."""
        return self._result(
            self._native.scatter_v(x, counts, out, root, displacements, async_), out)

    def _result(self, work: Optional[_native.Work], result: Any) -> Any:
        return result if work is None else Work(work, result)

    # --- point to point --------------------------------------------------------------------------

    def send(self, x: Any, peer: int, tag: int = 0, *, async_: bool = False) -> Any:
        """Sends `x` to rank `peer`, whose recv has the same tag and as many elements of the same
        type. May wait until it receives: two ranks that send to each other first call one of the
        two with async_=True. Returns `x`."""
        return self._result(self._native.message(True, x, peer, tag, async_), x)

    def recv(self, x: Any, peer: int, tag: int = 0, *, async_: bool = False) -> Any:
        """Receives into `x` exactly as many elements from rank `peer`. Returns `x`."""
        return self._result(self._native.message(False, x, peer, tag, async_), x)

    # --- memory ----------------------------------------------------------------------------------

    def empty(self, shape: Union[int, Sequence[int]], dtype: Any = "float32") -> Any:
        """A NumPy array, zeroed, in registered memory that the ranks of a host map: the fastest kind
        for every call. It may outlive the communicator; it is not there in a child of fork().

        Raises OutOfMemoryError."""
        return over(self._native.allocate, shape, dtype)

    def zeros(self, shape: Union[int, Sequence[int]], dtype: Any = "float32") -> Any:
        """The same as empty()."""
        return over(self._native.allocate, shape, dtype)

    def register(self, x: Any) -> "Registration":
        """Registers the memory of a writable array for as long as what it returns lives, which spares
        RDMA wires a registration per call. Elsewhere it gains nothing."""
        return Registration(self._native.register_memory(x))

    # --- groups, and more communicators ----------------------------------------------------------

    def group(self, *, async_: bool = False) -> "Group":
        """`with comm.group(): ...` collects the blocking collectives inside and launches them
        together at its end, small ones of a kind as one. See Group."""
        return Group(self._native, async_)

    def split(self, color: int, key: int = 0) -> Optional["Communicator"]:
        """New communicators of those ranks that give the same `color`, numbered by ascending `key`,
        then by their old numbers. Called by all ranks; one that gives a negative color gets None."""
        part = self._native.split(color, key)
        return None if part is None else Communicator(part)

    def duplicate(self) -> "Communicator":
        """A second communicator of the same ranks with the same numbers. Called by all ranks."""
        return Communicator(self._native.duplicate())

    # --- trouble, and the end --------------------------------------------------------------------

    def abort(self, reason: str = "abort() was called") -> None:
        """Fails the communicator on every rank, with `reason` in everybody's error. Returns at once;
        any thread, and handlers of signals."""
        self._native.abort(reason)

    def survivors(self) -> list[int]:
        """After a failure: which ranks are left, ascending, the same list on all of them. Called by
        all that are alive."""
        return self._native.survivors()

    def shrink(self) -> "Communicator":
        """After a failure: a new communicator of the survivors, numbered in the old order. Called by
        all that are alive."""
        return Communicator(self._native.shrink())

    def close(self) -> None:
        """Leaves the group; does not wait for others. Work that is not done fails. Closing twice is
        fine; any other call raises InvalidArgument afterwards. At the end of the program all
        communicators are closed."""
        _open.discard(self)
        self._native.close()

    def __enter__(self) -> "Communicator":
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        """Closes it. An exception is told to the other ranks first, which may wait for this one."""
        try:
            if error is not None and not _is_good_end(error) and not self.closed:
                if not self.failed:
                    self.abort(f"rank {self.rank} raised {type(error).__name__}: {error}")
        finally:
            self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "failed" if self.failed else f"{self.hosts} hosts"
        return f"<paceline.Communicator, rank {self.rank} of {self.size}, {state}>"


def _is_good_end(error: BaseException) -> bool:
    return isinstance(error, SystemExit) and error.code in (None, 0)


class Group:
    """Between `with` and its end, blocking collectives of the communicator are only collected; they
    return at once, and their arrays must not be touched until the end, which launches them together
    and waits for all. Small ones of the same kind travel as one. All ranks group the same calls. The
    last bits of a sum may differ from those of the call alone.

    Sends and recvs start at once; the end waits for them. With `async_=True`, of collectives only,
    the end waits for nothing, and `work` is the Work of all.

    An exception inside drops what was collected. If sends or recvs have started, which cannot be
    taken back, the communicator is aborted."""

    __slots__ = ("_native", "_async", "_work")

    def __init__(self, native: _native.Communicator, async_: bool) -> None:
        self._native = native
        self._async = async_
        self._work: Optional[Work] = None

    @property
    def work(self) -> Optional[Work]:
        """Of a group with async_=True, once it has ended."""
        return self._work

    def __enter__(self) -> "Group":
        self._native.group_begin()
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        if error is not None:
            self._native.group_cancel(f"{type(error).__name__} in a group: {error}")
            return
        work = self._native.group_end(self._async)
        if work is not None:
            self._work = Work(work, None)


class Registration:
    """Keeps an array registered, and alive, until close() or its own end."""

    __slots__ = ("_native",)

    def __init__(self, native: _native.Registration) -> None:
        self._native = native

    def close(self) -> None:
        """Ends it. Closing twice is fine."""
        self._native.close()

    def __enter__(self) -> "Registration":
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()


@atexit.register
def _close_all() -> None:
    for communicator in list(_open):
        communicator.close()
