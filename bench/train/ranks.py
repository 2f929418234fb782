"""One rank of bench/train/run: trains one model by all variants in turn, round by round.

Started with what torchrun sets (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT). Rank 0 writes rows of
JSON: one for each variant and round, and at the end the losses."""

import argparse
import datetime
import json
import os
import pathlib
import random
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.profiler import ProfilerActivity, profile
from workloads import WORKLOADS, Workload

import paceline.torch

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "process"))
import children  # noqa: E402

# A time-out of minutes: four ranks may share a core with all that the machine does besides.
TIMEOUT = datetime.timedelta(minutes=5)
VARIANTS = ["no-sync", "ddp-alone", "gloo", "paceline", "paceline-average", "paceline-bf16"]


def no_hook(_: Any, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
    """Every rank keeps its own gradients: what is left is DDP's own work."""
    future: torch.futures.Future[torch.Tensor] = torch.futures.Future()
    future.set_result(bucket.buffer())
    return future


HOOKS = {"ddp-alone": no_hook, "paceline-average": paceline.torch.average_hook,
         "paceline-bf16": paceline.torch.bf16_hook}


class Run:
    """One variant: a model of its own, and the losses so far."""

    def __init__(self, variant: str, workload: Workload, group: dist.ProcessGroup | None,
                 views: bool) -> None:
        self.variant = variant
        self.workload = workload
        self.losses: list[float] = []
        torch.manual_seed(7)
        module = workload.build()
        self.net: Callable[..., torch.Tensor] = module
        if group is not None:
            net = DistributedDataParallel(module, process_group=group,
                                          gradient_as_bucket_view=views)
            if variant in HOOKS:
                net.register_comm_hook(group, HOOKS[variant])
            self.net = net
        self.optimizer = torch.optim.SGD(module.parameters(), workload.rate)

    def step(self) -> float:
        """Trains one batch; seconds that it took. All variants see the same rows."""
        seed = 1000 * len(self.losses) + dist.get_rank()
        rows, wanted = self.workload.rows(torch.Generator().manual_seed(seed))
        begin = time.perf_counter()
        self.optimizer.zero_grad()
        loss = self.workload.loss(self.net(rows), wanted)
        loss.backward()
        self.optimizer.step()
        took = time.perf_counter() - begin
        self.losses.append(loss.item())
        return took


def over_ranks(values: list[float], how: Any) -> list[float]:
    """Element by element, by Gloo, which nothing is measured of here."""
    tensor = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(tensor, how)
    return tensor.tolist()


def measure(arguments: argparse.Namespace, out: Any) -> None:
    """All rounds of one model."""
    workload = WORKLOADS[arguments.model]()
    gloo, ours = dist.new_group(backend="gloo"), dist.new_group(backend="paceline")
    runs = [Run(variant, workload, {"no-sync": None, "gloo": gloo}.get(variant, ours),
                arguments.views)
            for variant in arguments.variants]
    for number in range(arguments.rounds + 1):  # the first one warms up: buckets are rebuilt
        # In another order each time, the same on all ranks: what follows what matters to caches.
        for run in random.Random(number).sample(runs, len(runs)):
            dist.barrier()
            times = over_ranks([run.step() for _ in range(arguments.steps)], dist.ReduceOp.MAX)
            if number > 0 and dist.get_rank() == 0:
                out.write(json.dumps({"model": arguments.model, "variant": run.variant,
                                      "round": number, "seconds": times}) + "\n")
                out.flush()
    parameters = sum(p.numel() for p in runs[0].optimizer.param_groups[0]["params"])
    for run in runs:
        losses = [x / dist.get_world_size() for x in over_ranks(run.losses, dist.ReduceOp.SUM)]
        if dist.get_rank() == 0:
            out.write(json.dumps({"model": arguments.model, "variant": run.variant,
                                  "losses": losses, "parameters": parameters,
                                  "samples": workload.samples * dist.get_world_size()}) + "\n")
    if arguments.trace:
        trace(runs, arguments.model, arguments.out.parent)


def trace(runs: list[Run], model: str, folder: pathlib.Path) -> None:
    """One more step of each variant, as Chrome's and Perfetto's JSON: what runs beside what."""
    for run in runs:
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            run.step()
        if dist.get_rank() == 0:
            profiler.export_chrome_trace(str(folder / f"trace-{model}-{run.variant}.json"))
        dist.barrier()


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=list(WORKLOADS), required=True)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--views", action="store_true")
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    children.end_with_parent()
    torch.set_num_threads(1)
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(os.environ["RANK"]) % len(cores)]})
    dist.init_process_group("gloo", timeout=TIMEOUT)
    with open(arguments.out if dist.get_rank() == 0 else os.devnull, "a", encoding="utf-8") as out:
        measure(arguments, out)
    dist.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main())
