"""What goes wrong by the caller's doing: a clear exception each, and a communicator that goes on."""

import gc
import multiprocessing
import os
import pickle
import threading

import numpy as np

import paceline

from .support import equal, raised


def check_bad_arrays(comm):
    bad = paceline.InvalidArgument
    good = np.ones(4)
    for given, said in ((3, "an int"), ([1.0, 2.0], "a list"), (None, "None"), ("abc", "a str"),
                        (np.float32, "a type"), ({}, "a dict"), ((1, 2), "a tuple")):
        raised(bad, lambda: comm.all_reduce(given), said, "give an array")
    raised(bad, lambda: comm.all_reduce(np.float32(3)), "read-only")
    raised(bad, lambda: comm.all_reduce(b"123"), "read-only")
    raised(bad, lambda: comm.all_reduce(np.ones((4, 4))[:, 1]), "not contiguous", "(4,)")
    raised(bad, lambda: comm.all_reduce(np.asfortranarray(np.ones((2, 3)))), "not contiguous")
    raised(bad, lambda: comm.all_reduce(np.ones(4)[::-1]), "not contiguous")
    raised(bad, lambda: comm.all_reduce(good, out=np.ones((4, 2))[:, 0]), "out", "not contiguous")
    frozen = np.ones(4)
    frozen.flags.writeable = False
    raised(bad, lambda: comm.all_reduce(frozen), "x is read-only")
    raised(bad, lambda: comm.all_reduce(good, out=frozen), "out is read-only")
    for dtype, said in ((np.int16, "int16"), (np.uint16, "uint16"), (object, "serialise"),
                        (np.complex64, "view"), ("M8[s]", "datetime64"), ("U3", "<U3"),
                        ("V8", "V8"), (np.longdouble, "float128")):
        raised(bad, lambda: comm.all_reduce(np.zeros(4, dtype)), said, "carried are")
    raised(bad, lambda: comm.all_reduce(np.ones(4, ">f4")), "byte order")
    raised(bad, lambda: comm.all_reduce(memoryview(b"abcd").cast("c")), "buffer protocol")
    raised(bad, lambda: comm.all_reduce(good, out=np.ones(5)), "4 elements", "5")
    raised(bad, lambda: comm.all_reduce(good, out=np.ones(4, np.float32)), "float64", "float32")
    raised(bad, lambda: comm.all_gather(good, out=np.ones(4 * comm.size + 1)), "elements")
    raised(bad, lambda: comm.all_reduce(good[:3], out=good[1:]), "overlap")
    odd = np.frombuffer(bytearray(33), np.uint8)[1:].view(np.float64)
    raised(bad, lambda: comm.all_reduce(odd), "multiple of 8")
    assert equal(comm.all_reduce(np.ones(4)), [comm.size] * 4)


def check_bad_arguments(comm):
    bad = paceline.InvalidArgument
    x = np.ones(4)
    raised(bad, lambda: comm.all_reduce(x, "summe"), "summe", '"sum"')
    raised(bad, lambda: comm.all_reduce(x, op=99), "an int")
    raised(bad, lambda: comm.all_reduce(x, op=None), "None")
    raised(bad, lambda: comm.all_reduce(x, op=np.add), "ufunc", "custom")
    raised(bad, lambda: paceline.custom(3), "an int", "function")
    raised(bad, lambda: comm.all_reduce(x, "bor"), "bor of float64 is not offered")
    raised(bad, lambda: comm.all_reduce(x, algorithm="fastest"), "fastest")
    raised(bad, lambda: comm.all_reduce(x, algorithm="bruck"), "bruck does not offer")
    for call in (lambda: comm.broadcast(x, comm.size), lambda: comm.reduce(x, -1),
                 lambda: comm.gather_v(x, None, None, comm.size)):
        raised(bad, call, f"0 to {comm.size - 1}")
    raised(bad, lambda: comm.send(x, comm.size), "peer")
    raised(bad, lambda: comm.recv(x, 0, tag=-1), "tag")
    raised(bad, lambda: comm.scatter(np.ones(4 * comm.size), None, 0), "out is None")
    raised(bad, lambda: comm.all_gather_v(x, [4] * (comm.size + 1), x), "one for each rank")
    raised(bad, lambda: comm.all_gather_v(x, [-1] * comm.size, x), "-1")
    raised(bad, lambda: comm.all_gather_v(x, [5] * comm.size, np.ones(5 * comm.size)),
           "this rank's block has 5")
    raised(bad, lambda: comm.all_gather_v(x, [4] * comm.size, np.ones(4 * comm.size - 1)),
           "reach up to")
    raised(bad, lambda: comm.all_gather_v(x, 4, x), "sequence")
    raised(bad, lambda: comm.write_history("/no/such/folder/x"), "/no/such/folder")
    raised(bad, lambda: comm.write_history("x", "xml"), "chrome_trace")
    raised(bad, comm.survivors)
    raised(TypeError, lambda: comm.all_reduce(x, "sum", None))  # out is given by name
    error = raised(ValueError, lambda: comm.all_reduce(3))  # as other libraries' is
    assert error.code == paceline.ErrorCode.invalid_argument
    assert isinstance(pickle.loads(pickle.dumps(error)), paceline.InvalidArgument)
    assert equal(comm.all_reduce(np.ones(4)), [comm.size] * 4)


def check_configuration(comm):
    bad = paceline.ConfigurationError
    raised(bad, lambda: paceline.init(colour="red"), "colour", "timeout")
    raised(bad, lambda: paceline.init(timeout="soon"), "timeout", "soon")
    raised(bad, lambda: paceline.init(timeout=-1.0), "timeout", "allowed")
    raised(bad, lambda: paceline.init(transports=["pigeon"]), "pigeon")
    raised(bad, lambda: paceline.init(log_level="loud"), "loud", "warning")
    raised(bad, lambda: paceline.init(rank=0, size=2, root="", launcher=1))
    raised(paceline.InvalidArgument, lambda: paceline.init(store=3), "an int", "folder")


def check_after_close(comm):
    with comm.duplicate() as other:
        array = other.empty(4)
        work = other.all_reduce_async(array)
        work.wait()
    assert other.closed and other.rank == comm.rank and "closed" in repr(other)
    other.close()
    for call in (lambda: other.all_reduce(array), other.barrier, other.history, other.wires,
                 lambda: other.empty(3), lambda: other.split(0), lambda: other.abort("x"),
                 lambda: other.group().__enter__(), lambda: other.failed):
        raised(paceline.InvalidArgument, call, "closed")
    array[:] = 1  # memory outlives its communicator
    assert equal(comm.all_reduce(array), [comm.size] * 4)
    raised(paceline.Error, work.restart)


def check_close_with_work_under_way(comm):
    if comm.size == 1:
        return
    other = comm.duplicate()
    if comm.rank == 0:
        x = np.ones(100_000)
        work = other.all_reduce_async(x)
        dropped = other.all_reduce_async(np.ones(10))
        del dropped
        other.close()
        raised(paceline.AbortedError, work.wait, "destroyed")
    comm.barrier()
    other.close()


def check_mismatch(comm):
    if comm.size == 1:
        return
    for wrong in (lambda c: c.all_reduce(np.ones(3 if c.rank == 0 else 4)),
                  lambda c: c.all_reduce(np.ones(3, np.int32 if c.rank == 0 else np.float32)),
                  lambda c: c.broadcast(np.ones(3), 0 if c.rank == 0 else 1)):
        with comm.duplicate() as other:
            # A rank whose part of a call was right learns of it at the next one.
            error = raised(paceline.MismatchError, lambda: (wrong(other), other.barrier()),
                           "rank 0", "called")
            assert error.code == paceline.ErrorCode.mismatch and error.rank == comm.rank
            assert other.failed
            raised(paceline.MismatchError, other.barrier)
            left = other.survivors()
            assert left == list(range(comm.size))
            with other.shrink() as again:
                assert equal(again.all_reduce(np.ones(1)), [comm.size])


def check_abort(comm):
    for who_reads_it in ("abort", "with"):
        other = comm.duplicate()
        if comm.rank == comm.size - 1:
            if who_reads_it == "abort":
                other.abort("enough")
                raised(paceline.AbortedError, other.barrier, "enough")
            else:
                raised(KeyError, lambda: _leaves_by(other, KeyError("enough")))
        else:
            error = raised(paceline.AbortedError, lambda: other.all_reduce(np.ones(3)),
                           f"rank {comm.size - 1}", "enough")
            assert error.peer == comm.size - 1
            assert error.operation.startswith("all_reduce(") or error.operation == ""
        other.close()


def _leaves_by(comm, error):
    with comm:
        raise error


def check_failing_reduction(comm):
    if comm.size == 1:
        return

    def breaks(inout, other):
        raise RuntimeError("cannot combine these")

    with comm.duplicate() as other:
        raised(paceline.Error, lambda: other.all_reduce(np.ones(3), paceline.custom(breaks)),
               "cannot combine these")


def check_threads(comm):
    """Each thread has a communicator of its own, and calls of all go on at the same time."""
    others = [comm.duplicate() for _ in range(3)]
    wrong = []

    def work(other, value):
        for _ in range(200):
            if not equal(other.all_reduce(np.full(3, value)), [value * comm.size] * 3):
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(o, i)) for i, o in enumerate(others)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    for o in others:
        o.close()


def _child_uses(comm, queue):
    try:
        comm.barrier()
        queue.put("went on")
    except paceline.InvalidArgument as error:
        queue.put(str(error))


def _square(x):
    return x * x


def check_fork(comm):
    """A child cannot use the communicator and harms nobody; pools of workers work."""
    fork = multiprocessing.get_context("fork")
    queue = fork.Queue()
    child = fork.Process(target=_child_uses, args=(comm, queue))
    child.start()
    said = queue.get(timeout=30)
    child.join(30)
    assert child.exitcode == 0 and str(os.getpid()) in said, said
    with fork.Pool(2) as pool:  # as data loaders do
        futures = pool.map_async(_square, range(100))
        x = comm.all_reduce(np.ones(1000))
        assert futures.get(30) == [n * n for n in range(100)]
    assert equal(x[:2], [comm.size] * 2)
    pid = os.fork()
    if pid == 0:  # a child that cleans up behind itself
        work = comm
        del work
        gc.collect()
        comm.close()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert equal(comm.all_reduce(np.ones(3)), [comm.size] * 3)
