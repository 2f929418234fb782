"""Arrays of all kinds, memory of the library, groups, and calls under way."""

import array
import asyncio
import ctypes
import gc
import weakref

import ml_dtypes
import numpy as np

import paceline

from .support import equal, raised, wait_until


class OnlyDlpack:
    """What speaks DLPack and nothing else, in its version 1 or before."""

    def __init__(self, x, versions=True):
        self.x = x
        self.versions = versions

    def __dlpack_device__(self):
        return self.x.__dlpack_device__()

    def __dlpack__(self, **keywords):
        if not self.versions and keywords:
            raise TypeError("no keywords")
        return self.x.__dlpack__(**keywords)


class OnDevice:
    """What says that it is in the memory of a GPU."""

    def __init__(self, kind):
        self.kind = kind

    def __dlpack_device__(self):
        return (self.kind, 1)

    def __dlpack__(self, **_):
        raise AssertionError("asked for memory that cannot be used")


class CudaArray:
    __cuda_array_interface__ = {"shape": (3,), "typestr": "<f4", "data": (4096, False),
                                "version": 3}


def check_buffers(comm):
    n = comm.size
    for x in (array.array("f", [1, 2, 3]), bytearray(b"\1\2\3"), (ctypes.c_double * 3)(1, 2, 3),
              memoryview(array.array("q", [1, 2, 3])), (ctypes.c_uint32 * 3)(1, 2, 3)):
        assert comm.all_reduce(x) is x
        assert list(x) == [n, 2 * n, 3 * n]
    truth = memoryview(bytearray(4)).cast("?")
    truth[comm.rank % 4] = True
    comm.all_reduce(truth)
    assert list(truth) == [r < n for r in range(4)]
    kept = bytearray(3)
    work = comm.all_reduce_async(kept)
    raised(BufferError, lambda: kept.append(1))  # it belongs to the operation
    work.wait()


def check_dlpack(comm):
    for dtype in (np.float32, np.float64, np.float16, np.int8, np.int64, np.uint32, np.bool_):
        for versions in (True, False):
            x = np.ones((2, 3), dtype)
            given = OnlyDlpack(x, versions)
            assert comm.all_reduce(given, "max") is given
            assert equal(x, np.ones((2, 3)))
            x[:] = comm.rank
            comm.broadcast(given, comm.size - 1)
            assert equal(x, np.full((2, 3), comm.size - 1).astype(dtype))
    x = np.ones(4)
    x.flags.writeable = False
    raised(paceline.InvalidArgument, lambda: comm.all_reduce(OnlyDlpack(x)), "read-only")
    out = np.zeros(4)
    assert equal(comm.all_reduce(OnlyDlpack(x), out=out), np.full(4, comm.size))
    raised(paceline.InvalidArgument, lambda: comm.all_reduce(OnlyDlpack(np.ones((4, 4))[:, 1])),
           "not contiguous", "(4)")
    raised(paceline.InvalidArgument, lambda: comm.all_reduce(OnlyDlpack(np.ones(2, np.int16))),
           "int16")


def check_other_devices(comm):
    raised(paceline.UnsupportedError, lambda: comm.all_reduce(OnDevice(2)), "CUDA device 1", "host")
    raised(NotImplementedError, lambda: comm.all_reduce(OnDevice(10)), "ROCm device 1")
    raised(paceline.UnsupportedError, lambda: comm.all_reduce(CudaArray()), "CUDA device")


def check_memory(comm):
    for dtype in (np.float32, "bfloat16", ml_dtypes.float8_e4m3fn, np.int64, bool):
        x = comm.empty((3, 5), dtype)
        assert x.shape == (3, 5) and not x.astype(np.float32).any() and x.flags.writeable
        x[:] = 1
        comm.all_reduce(x, "max")
        assert equal(x, np.ones((3, 5)))
    assert comm.zeros(0).shape == (0,) and comm.zeros(()).shape == ()
    del x
    gc.collect()
    before = comm.usage().allocated_bytes
    x = comm.empty(1_000_000, np.uint8)
    view = x[10:20].reshape(2, 5)
    assert comm.usage().allocated_bytes >= before + 1_000_000
    del x
    gc.collect()
    assert comm.usage().allocated_bytes >= before + 1_000_000  # the view keeps it
    del view
    gc.collect()
    assert comm.usage().allocated_bytes == before
    raised(paceline.InvalidArgument, lambda: comm.empty(-1), "lengths")
    raised(paceline.InvalidArgument, lambda: comm.empty("many"), "many", "length")
    raised(paceline.InvalidArgument, lambda: comm.empty(3, object), "object")
    raised(paceline.InvalidArgument, lambda: comm.empty(3, "no such type"), "no such type")
    raised(MemoryError, lambda: comm.empty(2**50, np.uint8), "bytes")
    own = np.ones(1000)
    with comm.register(own):
        assert comm.usage().registered_bytes >= own.nbytes
        comm.all_reduce(own)
    assert comm.usage().registered_bytes == 0
    raised(paceline.InvalidArgument, lambda: comm.register([1]), "a list")


def check_work(comm):
    x = np.ones(100_000, np.float32)
    out = np.zeros_like(x)
    work = comm.all_reduce(x, out=out, async_=True)
    assert work.wait() is out and work.done() and work.result is out
    assert equal(out[:3], [comm.size] * 3)
    for again in range(3):
        out[:] = 0
        assert work.restart().wait(timeout=60) is out
        assert equal(out[-3:], [comm.size] * 3)
    many = [comm.all_reduce_async(np.full(10, i, np.float32)) for i in range(50)]
    for i, w in enumerate(many):
        assert equal(w.wait(), np.full(10, i * comm.size))
    assert comm.barrier(async_=True).wait() is None
    assert equal(comm.all_gather(np.ones(2), async_=True).wait(), np.ones((comm.size, 2)))


def check_dropped_work(comm):
    """The library keeps what Python has dropped, until the end of the operation."""
    if comm.size == 1:
        return
    x = np.ones(300_000)
    gone = weakref.ref(x)
    if comm.rank == 0:
        comm.recv(np.zeros(1), 1)  # the others are under way meanwhile
    work = comm.all_reduce(x, async_=True)
    if comm.rank == 1:
        assert not work.done()
    del work, x
    gc.collect()
    if comm.rank == 1:
        assert gone() is not None
        comm.send(np.zeros(1), 0)
    comm.barrier()

    def swept():
        comm.algorithm_for("barrier", 1)  # any call looks
        return gone() is None

    wait_until(swept, 20, "the array of dropped Work is let go")


def check_time_out_of_wait(comm):
    if comm.size == 1:
        return
    if comm.rank == 0:
        comm.recv(np.zeros(1), 1)
    x = np.ones(4)
    work = comm.all_reduce_async(x)
    if comm.rank == 1:
        raised(paceline.TimeoutError, lambda: work.wait(timeout=0.05), "0.05 s")
        raised(TimeoutError, lambda: work.wait(timeout=0))
        raised(paceline.InvalidArgument, work.restart, "under way")
        comm.send(np.zeros(1), 0)
    assert work.wait() is x and equal(x, [comm.size] * 4)


def check_asyncio(comm):
    async def main():
        x = np.ones(4)
        assert await comm.all_reduce_async(x) is x
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0)
                ticks += 1

        ticking = asyncio.create_task(tick())
        works = [comm.all_reduce_async(np.full(200_000, i, np.float32)) for i in range(8)]
        results = await asyncio.gather(*works)
        ticking.cancel()
        for i, r in enumerate(results):
            assert equal(r[:2], [i * comm.size] * 2)
        # A task that is cancelled leaves the operation going on.
        if comm.rank == 0 and comm.size > 1:
            await asyncio.sleep(0.3)
        y = np.ones(4)
        work = comm.all_reduce_async(y)
        try:
            await asyncio.wait_for(_awaited(work), 0.05)
        except asyncio.TimeoutError:
            assert comm.size > 1
        assert equal(await work, [comm.size] * 4)

    asyncio.run(main())
    asyncio.run(main())  # a new loop has a bell of its own


async def _awaited(work):
    return await work


def check_groups(comm):
    tensors = [np.full(5, i, np.float32) for i in range(20)]
    with comm.group():
        for t in tensors:
            assert comm.all_reduce(t) is t
        comm.all_reduce(np.ones(3))  # whose array nobody else keeps
        gc.collect()
    for i, t in enumerate(tensors):
        assert equal(t, np.full(5, i * comm.size))
    with comm.group(async_=True) as group:
        for t in tensors:
            comm.all_reduce(t, "max")
        assert group.work is None
    group.work.wait()
    assert equal(tensors[1], [comm.size] * 5)
    # Two ranks that send to each other.
    other = comm.size - 1 - comm.rank
    got = np.zeros(1)
    with comm.group():
        comm.send(np.array([float(comm.rank)]), other)
        comm.recv(got, other)
    assert got[0] == other
    with comm.group():
        pass
    raised(ZeroDivisionError, lambda: _fails_in_group(comm))
    assert equal(comm.all_reduce(np.ones(1)), [comm.size])  # nothing is left of it
    with comm.group():
        raised(paceline.InvalidArgument, lambda: comm.all_reduce_async(np.ones(1)), "group")


def check_group_that_cannot_be_launched(comm):
    with comm.split(comm.rank) as other:  # each rank alone
        raised(paceline.InvalidArgument, lambda: _messages_in_async_group(other), "group_end()")
        raised(paceline.AbortedError, other.barrier, "could not be launched")


def _messages_in_async_group(comm):
    with comm.group(async_=True):
        comm.send(np.ones(3), comm.rank)
        comm.recv(np.ones(3), comm.rank)


def _fails_in_group(comm):
    with comm.group():
        comm.all_reduce(np.ones(1))
        1 // 0


def check_outputs_that_are_made(comm):
    x = np.ones((2 * comm.size, 3), np.int32)
    assert comm.all_gather(x).shape == (comm.size, 2 * comm.size, 3)
    assert comm.reduce_scatter(x).shape == (2, 3)
    assert comm.all_to_all(x).shape == x.shape
    raised(paceline.InvalidArgument, lambda: comm.all_gather(bytearray(3)), "give out")
    if comm.size > 1:
        raised(paceline.InvalidArgument, lambda: comm.reduce_scatter(np.ones(comm.size + 1)),
               "rows")
