"""Every operation of torch.distributed, against what one process works out."""

import itertools
import warnings

import torch
import torch.distributed as dist
from common import expect, main, mine

REAL = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.uint8,
        torch.int32, torch.int64]
MOVED = REAL + [torch.bool, torch.int16, torch.complex64, torch.complex128, torch.float8_e4m3fn,
                torch.float8_e5m2, torch.uint32, torch.uint64, torch.uint16]
SHAPES: list[tuple[int, ...]] = [(1,), (3, 5), (1000,), (0,)]


def raw(tensor: torch.Tensor) -> torch.Tensor:
    """Its bytes, which exist for every dtype."""
    packed = torch.empty(tensor.numel(), dtype=tensor.dtype)
    packed.copy_(tensor.flatten())
    return packed.view(torch.uint8)


def same(got: torch.Tensor, wanted: torch.Tensor) -> None:
    """Dtype, shape and bits."""
    assert got.dtype == wanted.dtype and got.shape == wanted.shape, (got, wanted)
    assert torch.equal(raw(got), raw(wanted)), (got, wanted)


def everybody(shape: tuple[int, ...], dtype: torch.dtype) -> list[torch.Tensor]:
    """What each rank brings."""
    return [mine(rank, shape, dtype) for rank in range(dist.get_world_size())]


def combined(parts: list[torch.Tensor], op: str) -> torch.Tensor:
    """By torch itself, in double or in 64-bit integers."""
    dtype = parts[0].dtype
    wide = torch.complex128 if dtype.is_complex else (
        torch.float64 if dtype.is_floating_point else torch.int64)
    stacked = torch.stack([part.to(wide) for part in parts])
    if op == "sum":
        result = stacked.sum(0)
    elif op == "avg":
        result = stacked.sum(0)
        result = (result / len(parts) if wide != torch.int64
                  else torch.div(result, len(parts), rounding_mode="trunc"))
    elif op == "prod":
        result = stacked.prod(0)
    elif op in ("min", "max"):
        result = getattr(stacked, "a" + op)(0)
    else:
        function = {"band": torch.bitwise_and, "bor": torch.bitwise_or,
                    "bxor": torch.bitwise_xor}[op]
        result = stacked[0]
        for part in stacked[1:]:
            result = function(result, part)
    return result.to(dtype)


OPS = {"sum": dist.ReduceOp.SUM, "avg": dist.ReduceOp.AVG, "prod": dist.ReduceOp.PRODUCT,
       "min": dist.ReduceOp.MIN, "max": dist.ReduceOp.MAX, "band": dist.ReduceOp.BAND,
       "bor": dist.ReduceOp.BOR, "bxor": dist.ReduceOp.BXOR}


def reductions() -> None:
    """all_reduce, reduce, reduce_scatter in both forms; every op that a dtype has."""
    rank, size = dist.get_rank(), dist.get_world_size()
    for dtype, (name, op), shape in itertools.product(REAL, OPS.items(), SHAPES):
        if name in ("band", "bor", "bxor") and dtype.is_floating_point:
            continue
        wanted = combined(everybody(shape, dtype), name)
        for synchronous in (True, False):
            tensor = mine(rank, shape, dtype)
            work = dist.all_reduce(tensor, op, async_op=not synchronous)
            if work is not None:
                work.wait()
            same(tensor, wanted)
        tensor = mine(rank, shape, dtype)
        dist.reduce(tensor, dst=size - 1, op=op)
        same(tensor, wanted if rank == size - 1 else mine(rank, shape, dtype))
        big = (size * shape[0], *shape[1:])
        whole = combined(everybody(big, dtype), name)
        block = whole.chunk(size)[rank] if whole.numel() else torch.empty(shape, dtype=dtype)
        out = torch.empty(shape, dtype=dtype)
        dist.reduce_scatter_tensor(out, mine(rank, big, dtype), op)
        same(out, block)
        if shape[0] > 0:
            out = torch.empty(shape, dtype=dtype)
            inputs = [part.clone() for part in mine(rank, big, dtype).chunk(size)]
            dist.reduce_scatter(out, inputs, op)
            same(out, block)


def special_reductions() -> None:
    """Booleans, complex numbers, factors, 8-bit floats."""
    rank, size = dist.get_rank(), dist.get_world_size()
    for op, wanted in (("sum", "bor"), ("max", "bor"), ("prod", "band"), ("min", "band"),
                       ("bxor", "bxor")):
        tensor = mine(rank, (50,), torch.bool)
        dist.all_reduce(tensor, OPS[op])
        same(tensor, combined(everybody((50,), torch.bool), wanted))
    for dtype in (torch.complex64, torch.complex128):
        tensor = mine(rank, (7, 3), dtype)
        dist.all_reduce(tensor)
        same(tensor, combined(everybody((7, 3), dtype), "sum"))
        expect(ValueError, "complex", "SUM",
               of=lambda dtype=dtype: dist.get_backend_config() and
               dist.distributed_c10d._get_default_group()._get_backend(torch.device("cpu"))
               .allreduce([mine(rank, (2,), dtype)], all_reduce_options(dist.ReduceOp.MAX)))
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        tensor = mine(rank, (9,), dtype)
        dist.all_reduce(tensor, dist._make_nccl_premul_sum(0.5))
        same(tensor, (combined(everybody((9,), torch.float64), "sum") * 0.5).to(dtype))
    tensor = mine(rank, (9,), torch.float8_e5m2)
    backend().allreduce([tensor], all_reduce_options(dist.ReduceOp.SUM)).wait()
    same(tensor.float(), combined(everybody((9,), torch.float32), "sum").to(
        torch.float8_e5m2).float())
    # Beside 256 a bf16 has steps of 2; what is lost is at most one of the roundings.
    tensor = torch.full((4,), 256.0 if rank == 0 else 1.0, dtype=torch.bfloat16)
    dist.all_reduce(tensor)
    exact = 256.0 + size - 1
    assert tensor.eq(tensor[0]).all() and abs(tensor[0].item() - exact) <= 1, tensor


def backend() -> object:
    """Ours, without torch's checks before it."""
    return dist.distributed_c10d._get_default_group()._get_backend(torch.device("cpu"))


def all_reduce_options(op: object) -> dist.AllreduceOptions:
    """With that operation."""
    options = dist.AllreduceOptions()
    options.reduceOp = op
    return options


def moves() -> None:
    """What only carries data, of every dtype."""
    rank, size = dist.get_rank(), dist.get_world_size()
    for dtype, shape in itertools.product(MOVED, SHAPES):
        all_of_them = everybody(shape, dtype)
        tensor = mine(rank, shape, dtype)
        backend().broadcast([tensor], broadcast_options(size - 1)).wait()
        same(tensor, all_of_them[size - 1])
        flat = torch.empty(size * len(all_of_them[0].flatten()), dtype=dtype)
        backend()._allgather_base(flat, mine(rank, shape, dtype).flatten()).wait()
        same(flat, torch.cat([raw(part) for part in all_of_them]).view(dtype))
        for strided in (False, True):
            outputs = [torch.empty((*shape, 2), dtype=dtype)[..., 0] if strided
                       else torch.empty(shape, dtype=dtype) for _ in range(size)]
            dist.all_gather(outputs, mine(rank, shape, dtype))
            for got, wanted in zip(outputs, all_of_them):
                same(got, wanted)
        gathered = [torch.empty(shape, dtype=dtype) for _ in range(size)] if rank == 0 else None
        dist.gather(mine(rank, shape, dtype), gathered, dst=0)
        for got, wanted in zip(gathered or [], all_of_them):
            same(got, wanted)
        out = torch.empty(shape, dtype=dtype)
        dist.scatter(out, all_of_them if rank == size - 1 else None, src=size - 1)
        same(out, all_of_them[rank])


def broadcast_options(root: int) -> dist.BroadcastOptions:
    """From that rank."""
    options = dist.BroadcastOptions()
    options.rootRank = root
    return options


def all_to_all() -> None:
    """With and without lengths of their own, as one tensor and as lists."""
    rank, size = dist.get_rank(), dist.get_world_size()
    for dtype in (torch.float32, torch.int16, torch.complex64):
        sent = {source: list(mine(source, (size * 2, 3), dtype).chunk(size))
                for source in range(size)}
        out = torch.empty((size * 2, 3), dtype=dtype)
        dist.all_to_all_single(out, torch.cat(sent[rank]))
        same(out, torch.cat([sent[source][rank] for source in range(size)]))
        outputs = [torch.empty((2, 3), dtype=dtype) for _ in range(size)]
        dist.all_to_all(outputs, sent[rank])
        same(torch.cat(outputs), torch.cat([sent[source][rank] for source in range(size)]))
        # Rank s sends s + 2 d rows to rank d.
        rows = [[s + 2 * d for d in range(size)] for s in range(size)]
        inputs = {s: mine(s, (sum(rows[s]), 3), dtype) for s in range(size)}
        out = torch.empty((sum(rows[s][rank] for s in range(size)), 3), dtype=dtype)
        dist.all_to_all_single(out, inputs[rank], [rows[s][rank] for s in range(size)], rows[rank])
        same(out, torch.cat([inputs[s].split(rows[s])[rank] for s in range(size)]))


def uneven() -> None:
    """Lists of tensors of different lengths."""
    rank, size = dist.get_rank(), dist.get_world_size()
    parts = [mine(r, (r + 1,), torch.float32) for r in range(size)]
    outputs = [torch.empty(r + 1) for r in range(size)]
    dist.all_gather(outputs, parts[rank])
    for got, wanted in zip(outputs, parts):
        same(got, wanted)
    inputs = [torch.full((r + 1,), float(rank)) for r in range(size)]
    out = torch.empty(rank + 1)
    dist.reduce_scatter(out, inputs)
    same(out, torch.full((rank + 1,), float(sum(range(size)))))


def coalesced() -> None:
    """Many at once."""
    rank, size = dist.get_rank(), dist.get_world_size()
    shapes = [(5,), (0,), (2, 3), (100_000,)]
    tensors = [mine(rank, shape, torch.float32) for shape in shapes]
    dist.all_reduce_coalesced(tensors)
    for got, shape in zip(tensors, shapes):
        same(got, combined(everybody(shape, torch.float32), "sum"))
    # As one call of the backend's; and by startCoalescing() and endCoalescing().
    for device in (None, torch.device("cpu")):
        with dist._coalescing_manager(device=device, async_ops=True) as manager:
            gathered = [torch.empty(size * 4) for _ in range(3)]
            for i, out in enumerate(gathered):
                dist.all_gather_into_tensor(out, torch.full((4,), float(10 * rank + i)))
        manager.wait()
        for i, out in enumerate(gathered):
            same(out, torch.cat([torch.full((4,), float(10 * r + i)) for r in range(size)]))
        with dist._coalescing_manager(device=device, async_ops=True) as manager:
            scattered = [torch.empty(2), torch.empty(3)]
            dist.reduce_scatter_tensor(scattered[0], torch.ones(size * 2))
            dist.reduce_scatter_tensor(scattered[1], torch.full((size * 3,), 2.0))
        manager.wait()
        same(scattered[0], torch.full((2,), float(size)))
        same(scattered[1], torch.full((3,), 2.0 * size))
    lists = [[torch.empty(2), torch.empty(3, 2)[:, 0]] for _ in range(size)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is deprecated
        dist.all_gather_coalesced(lists, [torch.full((2,), float(rank)), torch.ones(3) * rank])
    for r, parts in enumerate(lists):
        same(parts[0], torch.full((2,), float(r)))
        same(parts[1], torch.full((3,), float(r)))


def messages() -> None:
    """Sends and recvs: tags, order, both ways at once, and beside a collective."""
    rank, size = dist.get_rank(), dist.get_world_size()
    right, left = (rank + 1) % size, (rank - 1) % size
    big = 3_000_000  # more than any wire holds by itself
    ops = [dist.P2POp(dist.isend, torch.full((big,), float(rank)), right),
           dist.P2POp(dist.irecv, got := torch.empty(big), left)]
    for work in dist.batch_isend_irecv(ops):
        work.wait()
    same(got, torch.full((big,), float(left)))
    works = [dist.isend(torch.tensor([10 * tag + rank]), right, tag=tag) for tag in (3, 1, 2)]
    for tag in (1, 2, 3):
        one = torch.empty(1, dtype=torch.int64)
        dist.recv(one, left, tag=tag)
        assert one.item() == 10 * tag + left
    for work in works:
        work.wait()
    # Rank 0 sends after it has started the all_reduce that rank 1 starts after it has received.
    tensor, note = torch.ones(big), torch.zeros(big)
    if rank == 0:
        work = dist.all_reduce(tensor, async_op=True)
        dist.send(note + 7, 1)
        work.wait()
    else:
        if rank == 1:
            dist.recv(note, 0)
            assert note[0] == 7
        dist.all_reduce(tensor)
    assert tensor[0] == size
    expect(ValueError, "name the source", of=lambda: dist.recv(torch.empty(1)))


def groups() -> None:
    """Sub-groups, two of which overlap, and one of a rank alone."""
    rank, size = dist.get_rank(), dist.get_world_size()
    halves = [dist.new_group(list(range(size // 2))), dist.new_group(list(range(size // 2, size)))]
    pair = dist.new_group([0, size - 1])
    tensor = torch.tensor([float(rank)])
    half = 0 if rank < size // 2 else 1
    dist.all_reduce(tensor, group=halves[half])
    assert tensor.item() == sum(range(half * (size // 2), size if half else size // 2))
    if rank in (0, size - 1):
        tensor = torch.tensor([float(rank)])
        dist.broadcast(tensor, src=size - 1, group=pair)
        assert tensor.item() == size - 1
    alone = [dist.new_group([r]) for r in range(size)][rank]
    tensor = torch.tensor([float(rank)])
    dist.all_reduce(tensor, group=alone)
    assert tensor.item() == rank
    dist.barrier()


def objects() -> None:
    """Pickled objects, which travel as bytes."""
    rank, size = dist.get_rank(), dist.get_world_size()
    got: list[object] = [None] * size
    dist.all_gather_object(got, {"rank": rank, "text": "x" * rank})
    assert got == [{"rank": r, "text": "x" * r} for r in range(size)]
    box = [("from", 0)] if rank == 0 else [None]
    dist.broadcast_object_list(box, src=0)
    assert box == [("from", 0)]


def futures() -> None:
    """A Future resolves to the list of tensors; callbacks may start more."""
    size = dist.get_world_size()
    tensor = torch.ones(1000)
    future = dist.all_reduce(tensor, async_op=True).get_future()

    def again(done: torch.futures.Future) -> torch.Tensor:
        dist.all_reduce(done.value()[0])
        return done.value()[0]

    assert future.then(again).wait()[0] == size * size
    works = [dist.all_reduce(torch.ones(10), async_op=True) for _ in range(50)]
    works[-1].wait()
    assert all(work.is_completed() for work in works)


def memory() -> None:
    """Tensors in mappable memory; a storage that moves takes its views along."""
    import paceline.torch as ours
    rank, size = dist.get_rank(), dist.get_world_size()
    tensor = ours.empty(3, 5, dtype=torch.bfloat16)
    tensor.fill_(rank + 1)
    dist.all_reduce(tensor)
    assert tensor.shape == (3, 5) and tensor[2, 4] == size * (size + 1) / 2
    address = tensor.data_ptr()
    del tensor
    assert ours.empty(15, dtype=torch.bfloat16).data_ptr() == address
    plain = torch.arange(10_000.0)
    view = plain[100:200]
    assert ours.adopt(plain) and not ours.adopt(plain) and not ours.adopt(view)
    dist.all_reduce(plain)
    assert torch.equal(view, torch.arange(100.0, 200.0) * size)
    kept = ours.empty(1 << 20)
    dist.destroy_process_group()
    kept.fill_(3)  # outlives its group
    assert kept.sum() == 3 << 20


if __name__ == "__main__":
    main(globals())
