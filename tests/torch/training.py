"""Training on several ranks, against the same on one."""

import copy
import json
import os
import pathlib
import tempfile

import torch
import torch.distributed as dist
import torch.nn as nn
from common import main
from torch.nn.parallel import DistributedDataParallel

STEPS = 4
ROWS = 8  # of each rank


def model() -> nn.Module:
    """More than DDP's first bucket of 1 MB, so that there are several."""
    torch.manual_seed(1)
    layers: list[nn.Module] = []
    for _ in range(5):
        layers += [nn.Linear(400, 400), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(400, 10))


def batch(step: int, rank: int) -> torch.Tensor:
    """What a rank is given at a step."""
    return torch.randn(ROWS, 400, generator=torch.Generator().manual_seed(100 * step + rank))


def alone(steps: int = STEPS) -> list[torch.Tensor]:
    """Parameters after training on everybody's rows in one process."""
    net = model()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for step in range(steps):
        rows = torch.cat([batch(step, rank) for rank in range(dist.get_world_size())])
        optimizer.zero_grad()
        net(rows).square().mean().backward()
        optimizer.step()
    return [parameter.detach() for parameter in net.parameters()]


def train(net: nn.Module, steps: int = STEPS) -> None:
    """The same with this rank's rows."""
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for step in range(steps):
        optimizer.zero_grad()
        net(batch(step, dist.get_rank())).square().mean().backward()
        optimizer.step()


def compare(net: nn.Module, tolerance: float = 1e-5) -> None:
    """With training alone; and all ranks with each other, bit by bit."""
    for mine, wanted in zip(net.parameters(), alone()):
        torch.testing.assert_close(mine.detach(), wanted, rtol=tolerance, atol=tolerance)
        first = mine.detach().clone()
        dist.broadcast(first, 0)
        assert torch.equal(first, mine)


def ddp() -> None:
    """DistributedDataParallel as it is."""
    net = DistributedDataParallel(model())
    train(net)
    compare(net)


def ddp_views() -> None:
    """Gradients that are views of the buckets."""
    net = DistributedDataParallel(model(), gradient_as_bucket_view=True)
    train(net)
    compare(net)


def ddp_average() -> None:
    """With buckets in mappable memory; which they are, also after DDP has built them anew."""
    import paceline.torch as ours
    for views in (False, True):
        net = DistributedDataParallel(model(), gradient_as_bucket_view=views)
        net.register_comm_hook(None, ours.average_hook)
        train(net)
        compare(net)
        size = sum(p.numel() * 4 for p in net.parameters())
        assert ours.memory_usage().in_use >= size, (ours.memory_usage(), size)


def ddp_bf16() -> None:
    """With bf16 on the wire: as near as docs/pytorch.md says."""
    import paceline.torch as ours
    net = DistributedDataParallel(model())
    net.register_comm_hook(None, ours.bf16_hook)
    train(net)
    compare(net, tolerance=2e-3)
    exact = torch.randn(100_000, generator=torch.Generator().manual_seed(dist.get_rank()))
    short = exact.to(torch.bfloat16)
    dist.all_reduce(exact, dist.ReduceOp.AVG)
    dist.all_reduce(short, dist.ReduceOp.AVG)
    error = ((short.float() - exact).norm() / exact.norm()).item()
    if dist.get_rank() == 0:
        print(f"relative error of bf16 on the wire: {error:.2e}")
    assert error < 2**-8


def fsdp() -> None:
    """fully_shard of every layer, with torch's memory and with ours."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    for ours in (False, True):
        net = model()
        for layer in net:
            if isinstance(layer, nn.Linear):
                fully_shard(layer, mesh=mesh)
        fully_shard(net, mesh=mesh)
        if ours:
            for module in net.modules():
                if hasattr(module, "set_allocate_memory_from_process_group_for_comm"):
                    module.set_allocate_memory_from_process_group_for_comm(True)
        train(net)
        for mine, wanted in zip(net.parameters(), alone()):
            torch.testing.assert_close(mine.full_tensor().detach(), wanted, rtol=1e-5, atol=1e-5)


def dtensor() -> None:
    """Products of matrices that are cut by rows or by columns."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    torch.manual_seed(3)
    a, b = torch.randn(12, 16), torch.randn(16, 8)
    for left, right in ((Shard(0), Replicate()), (Replicate(), Shard(1)), (Shard(1), Shard(0))):
        product = distribute_tensor(a, mesh, [left]) @ distribute_tensor(b, mesh, [right])
        torch.testing.assert_close(product.full_tensor(), a @ b, rtol=1e-5, atol=1e-5)
        moved = product.redistribute(mesh, [Shard(0)]).redistribute(mesh, [Shard(1)])
        torch.testing.assert_close(moved.full_tensor(), a @ b, rtol=1e-5, atol=1e-5)


def spans(path: pathlib.Path, name: str) -> list[tuple[float, float]]:
    """Begin and end of the events of that name in a trace."""
    return [(e["ts"], e["ts"] + e["dur"]) for e in json.loads(path.read_text())["traceEvents"]
            if e.get("ph") == "X" and e["name"] == name]


def overlap() -> None:
    """In a trace of torch's profiler all_reduces end while backward still computes.

    Where cores are few and busy one backward may be over before any; so there are several tries."""
    from torch.profiler import ProfilerActivity, profile
    net = DistributedDataParallel(nn.Sequential(*[nn.Linear(1000, 1000) for _ in range(10)]),
                                  bucket_cap_mb=4)
    rows = torch.randn(32, 1000)
    for _ in range(3):
        net(rows).sum().backward()
    for _ in range(8):
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            net(rows).sum().backward()
        path = pathlib.Path(tempfile.mkdtemp(dir=os.getcwd())) / "trace.json"
        profiler.export_chrome_trace(str(path))
        gemms, reduces = spans(path, "aten::mm"), spans(path, "paceline:all_reduce")
        assert len(reduces) >= 5 and gemms, (reduces, gemms)
        # The last gradient is computed at the end of backward: what ended before it ran beside it.
        end_of_backward = max(end for _, end in gemms)
        early = sum(end < end_of_backward for _, end in reduces)
        beside = sum(max(0.0, min(end, e) - max(begin, b))
                     for begin, end in reduces for b, e in gemms)
        print(f"{early} of {len(reduces)} all_reduces ended before backward; "
              f"{beside / 1000:.1f} ms of them beside products of matrices")
        on_any_rank = torch.tensor([float(early)])
        dist.all_reduce(on_any_rank, dist.ReduceOp.MAX)
        if on_any_rank.item() > 0:
            return
    raise AssertionError("no all_reduce ended before backward did, in eight steps")


if __name__ == "__main__":
    main(globals())
