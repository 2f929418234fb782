"""What every program of ranks does; each is called with names of its functions,
which run one after the other: to import torch takes longer than most."""

import datetime
import os
import sys
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist

import paceline.torch  # noqa: F401  (registers the backend)

# Of a process group: longer than a rank of a busy machine is ever late.
TIMEOUT = datetime.timedelta(seconds=120)
STORE: list[dist.Store] = []  # the one, once main() has made it


def begin(store: dist.Store) -> None:
    """A process group of all ranks. Its store is always the same, as torchrun's own is."""
    dist.init_process_group("paceline", store=store, rank=int(os.environ["RANK"]),
                            world_size=int(os.environ["WORLD_SIZE"]), timeout=TIMEOUT)


def new_store() -> dist.Store:
    """At the address that the test has chosen."""
    return dist.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]),
                         int(os.environ["WORLD_SIZE"]), os.environ["RANK"] == "0", TIMEOUT)


def main(cases: dict[str, Any]) -> None:
    """Runs the named functions one after the other, each in a process group of its own."""
    torch.set_num_threads(1)
    store = new_store()
    STORE.append(store)
    for name in sys.argv[1:]:
        print(f"begins {name}", flush=True)
        torch.manual_seed(0)
        begin(store)
        cases[name]()
        if dist.is_initialized():
            dist.destroy_process_group()
    store.set(f"rank {os.environ['RANK']} is done", "")  # rank 0 is the store: it leaves last
    if os.environ["RANK"] == "0":
        store.wait([f"rank {r} is done" for r in range(int(os.environ["WORLD_SIZE"]))])
    print("done", flush=True)


def expect(kind: type[BaseException], *words: str, of: Callable[[], Any]) -> None:
    """The call raises that, and its text has the words."""
    try:
        of()
    except kind as error:
        missing = [word for word in words if word not in str(error)]
        assert not missing, f"{missing} not in: {error}"
        return
    raise AssertionError(f"no {kind.__name__}")


def mine(rank: int, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """What rank `rank` brings; anybody can work it out. Small integers, exact in every dtype."""
    generator = torch.Generator().manual_seed(1000 + rank)
    values = torch.randint(0, 2 if dtype == torch.bool else 4, shape, generator=generator)
    if dtype.is_complex:
        return torch.complex(values.double(), values.double() + 1).to(dtype)
    return values.to(dtype)
