"""Every collective, with every type of elements, against NumPy."""

import numpy as np

import paceline

from .support import BOOL, FLOATS, INTEGERS, TYPES, all_contributions, contribution, equal

COUNTS = (0, 1, 7, 40_000)  # nothing; less than a message; by puts in several segments
UFUNCS = {"sum": np.add, "prod": np.multiply, "min": np.minimum, "max": np.maximum}


def reduced(size: int, count: int, dtype: np.dtype, op: str) -> np.ndarray:
    everything = all_contributions(size, count, dtype)
    if dtype == BOOL:
        return everything.any(axis=0) if op in ("sum", "max") else everything.all(axis=0)
    wide = everything.astype(np.float64)
    if op == "avg":
        mean = wide.sum(axis=0) / size
        return np.trunc(mean) if dtype in INTEGERS else mean.astype(dtype)
    return UFUNCS[op].reduce(wide, axis=0)


def check_all_reduce(comm):
    for dtype in TYPES:
        ops = ["sum", "prod", "min", "max"] + ([] if dtype == BOOL else ["avg"])
        for op in ops:
            for count in COUNTS if op == "sum" else (7,):
                x = contribution(comm.rank, count, dtype)
                expected = reduced(comm.size, count, dtype, op)
                out = np.zeros(count, dtype)
                assert comm.all_reduce(x, op, out=out) is out
                if op == "avg" and dtype in FLOATS:
                    assert np.allclose(out.astype(np.float64), expected.astype(np.float64),
                                       rtol=0.07), (dtype, count)
                else:
                    assert equal(out, expected), (dtype, op, count, out[:8], expected[:8])
                assert equal(x, contribution(comm.rank, count, dtype))
                assert comm.all_reduce(x, paceline.ReduceOp[op]) is x
                assert equal(x, out), (dtype, op, count)


def check_bitwise(comm):
    for dtype in INTEGERS:
        for op, ufunc in (("band", np.bitwise_and), ("bor", np.bitwise_or),
                          ("bxor", np.bitwise_xor)):
            x = comm.all_reduce(contribution(comm.rank, 100, dtype), op)
            assert equal(x, ufunc.reduce(all_contributions(comm.size, 100, dtype), axis=0))


def check_premul_sum(comm):
    for dtype in FLOATS:
        x = np.ones(10, dtype)
        comm.all_reduce(x, paceline.premul_sum(comm.rank + 1))
        assert equal(x, np.full(10, comm.size * (comm.size + 1) // 2)), (dtype, x)


def check_custom(comm):
    def larger(inout, other):
        assert inout.shape == other.shape
        np.maximum(inout, other, out=inout)

    for dtype in (np.dtype(np.float32), np.dtype(np.int64), FLOATS[3]):
        x = contribution(comm.rank, 1000, dtype)
        comm.all_reduce(x, paceline.custom(larger))
        assert equal(x, reduced(comm.size, 1000, dtype, "max"))
    work = comm.all_reduce_async(contribution(comm.rank, 40_000, np.dtype(np.float32)),
                                 paceline.custom(larger))
    assert equal(work.wait(), reduced(comm.size, 40_000, np.dtype(np.float32), "max"))


def check_reduce(comm):
    for dtype in TYPES:
        for root in range(comm.size):
            x = contribution(comm.rank, 50, dtype)
            out = np.zeros(50, dtype)
            result = comm.reduce(x, root, "max", out=out)
            if comm.rank == root:
                assert result is out and equal(out, reduced(comm.size, 50, dtype, "max"))
                assert comm.reduce(x, root, "max") is x and equal(x, out)
            else:
                assert result is None and not out.any()
                assert comm.reduce(x, root, "max") is None
                assert equal(x, contribution(comm.rank, 50, dtype))


def check_broadcast(comm):
    for dtype in TYPES:
        for root in range(comm.size):
            for count in COUNTS:
                x = contribution(comm.rank, count, dtype)
                if comm.rank == root:
                    x.flags.writeable = False  # it is only read there
                assert comm.broadcast(x, root) is x
                assert equal(x, contribution(root, count, dtype))


def check_all_gather(comm):
    for dtype in TYPES:
        for count in COUNTS:
            x = contribution(comm.rank, count, dtype)
            expected = all_contributions(comm.size, count, dtype)
            made = comm.all_gather(x)
            assert made.shape == (comm.size, count) and made.dtype == dtype
            assert equal(made, expected)
            out = np.zeros((comm.size, count), dtype)
            out[comm.rank] = x
            assert comm.all_gather(out[comm.rank], out=out) is out
            assert equal(out, expected)


def check_reduce_scatter(comm):
    for dtype in TYPES:
        x = contribution(comm.rank, comm.size * 30, dtype)
        expected = reduced(comm.size, comm.size * 30, dtype, "max").reshape(comm.size, 30)
        assert equal(comm.reduce_scatter(x, "max"), expected[comm.rank])
        blocks = x.reshape(comm.size, 30)
        out = comm.reduce_scatter(blocks, "max", out=blocks[comm.rank])
        assert equal(out, expected[comm.rank]) and equal(blocks[comm.rank], out)


def check_all_to_all(comm):
    for dtype in TYPES:
        x = contribution(comm.rank, comm.size * 5, dtype).reshape(comm.size, 5)
        expected = np.stack([contribution(r, comm.size * 5, dtype).reshape(comm.size, 5)[comm.rank]
                             for r in range(comm.size)])
        assert equal(comm.all_to_all(x), expected)
        assert comm.all_to_all(x, out=x) is x and equal(x, expected)


def check_gather_and_scatter(comm):
    for dtype in TYPES:
        for root in range(comm.size):
            x = contribution(comm.rank, 9, dtype)
            all_of_them = comm.gather(x, root)
            assert (all_of_them is not None) == (comm.rank == root)
            if comm.rank == root:
                assert equal(all_of_them, all_contributions(comm.size, 9, dtype))
            back = np.zeros(9, dtype)
            assert comm.scatter(all_of_them, back, root) is back
            assert equal(back, x)


def check_v_forms(comm):
    counts = [3 * r for r in range(comm.size)]  # the first has nothing
    mine = counts[comm.rank]
    whole = np.concatenate([np.full(n, r + 1.0) for r, n in enumerate(counts)])
    x = np.full(mine, comm.rank + 1.0)
    assert equal(comm.all_gather_v(x, counts, np.zeros(sum(counts))), whole)
    # Backwards, with gaps of one element.
    places = [sum(counts[r + 1:]) + comm.size - 1 - r for r in range(comm.size)]
    out = np.zeros(sum(counts) + comm.size)
    comm.all_gather_v(x, counts, out, displacements=places)
    for r, (place, n) in enumerate(zip(places, counts)):
        assert equal(out[place:place + n], np.full(n, r + 1.0))
    assert equal(comm.reduce_scatter_v(whole, counts, np.zeros(mine)), x * comm.size)
    # Rank i gives rank j i + j elements.
    gives = [comm.rank + j for j in range(comm.size)]
    y = np.concatenate([np.full(n, 10.0 * comm.rank + j) for j, n in enumerate(gives)])
    got = comm.all_to_all_v(y, gives, np.zeros(sum(gives)), gives)
    assert equal(got, np.concatenate([np.full(n, 10.0 * j + comm.rank)
                                      for j, n in enumerate(gives)]))
    root = comm.size - 1
    out = np.zeros(sum(counts)) if comm.rank == root else None
    result = comm.gather_v(x, counts if comm.rank == root else None, out, root)
    assert equal(result, whole) if comm.rank == root else result is None
    back = np.zeros(mine)
    assert comm.scatter_v(result, counts if comm.rank == root else None, back, root) is back
    assert equal(back, x)
    works = [comm.all_gather_v(x, np.array(counts), np.zeros(sum(counts)), async_=True),
             comm.reduce_scatter_v(whole, counts, np.zeros(mine), async_=True)]
    assert equal(works[0].wait(), whole) and equal(works[1].wait(), x * comm.size)


def check_messages(comm):
    ahead, behind = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size
    for dtype in TYPES:
        for count in COUNTS:
            x = contribution(comm.rank, count, dtype)
            got = np.zeros(count, dtype)
            work = comm.send(x, ahead, tag=7, async_=True)
            assert comm.recv(got, behind, tag=7) is got
            assert work.wait() is x
            assert equal(got, contribution(behind, count, dtype))


def check_shapes(comm):
    everything = [np.array(1.0), np.zeros(()), np.ones((2, 3, 4)), np.ones((0, 5)),
                  np.ones((1, 1))]
    for x in everything:
        shape = x.shape
        before = x.copy()
        assert comm.all_reduce(x) is x and x.shape == shape
        assert equal(x, before * comm.size)
    # Columns in the order of FORTRAN are contiguous in one dimension only.
    comm.all_reduce(np.asfortranarray(np.ones((4, 1))))


def check_algorithms(comm):
    for name in ("ring", "recursive_doubling", "direct"):
        x = comm.all_reduce(np.ones(1000, np.float32), algorithm=name)
        assert equal(x, np.full(1000, comm.size))
    assert comm.algorithm_for("all_reduce", 10, np.dtype(np.float32)) in (
        "recursive_doubling", "one_shot", "direct", "halving_doubling", "ring")


def check_facts(comm):
    assert comm.hosts == 1 and comm.ranks_on_host == comm.size
    wires = comm.wires()
    assert [w.peer for w in wires] == list(range(comm.size))
    assert wires[comm.rank].transport == "self"
    comm.barrier()
    last = comm.history()[-1]
    assert (last.operation, last.outcome) == ("barrier", "succeeded")
    comm.all_reduce(np.ones(3, np.int32), "max")
    last = comm.history()[-1]
    assert (last.operation, last.op, last.dtype, last.nbytes) == ("all_reduce", "max", "int32", 12)
    assert comm.usage().descriptors >= 0
    assert comm.config["size"] == comm.size and "secret" not in comm.config
    assert f"rank {comm.rank} of {comm.size}" in repr(comm)


def check_split_and_duplicate(comm):
    part = comm.split(comm.rank % 2, -comm.rank)
    mine = [r for r in range(comm.size) if r % 2 == comm.rank % 2][::-1]
    assert (part.rank, part.size) == (mine.index(comm.rank), len(mine))
    assert equal(part.all_reduce(np.array([comm.rank])), [sum(mine)])
    part.close()
    assert comm.split(-1 if comm.rank == 0 else 0) is None or comm.rank > 0
    with comm.duplicate() as twin:
        assert (twin.rank, twin.size) == (comm.rank, comm.size)
        assert equal(twin.all_reduce(np.ones(2)), [comm.size] * 2)
