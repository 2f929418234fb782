"""What goes wrong, and how it is told."""

import datetime
import os
import threading
import time
import warnings

import torch
import torch.distributed as dist
import torch.nn as nn
from common import STORE, TIMEOUT, begin, expect, main
from torch.nn.parallel import DistributedDataParallel


def backend() -> object:
    """Ours, without torch's checks before it."""
    return dist.distributed_c10d._get_default_group()._get_backend(torch.device("cpu"))


def root_7() -> dist.BroadcastOptions:
    """A root that no group here has."""
    options = dist.BroadcastOptions()
    options.rootRank = 7
    return options


def arguments() -> None:
    """Each is refused before anything is sent, and the group goes on."""
    size = dist.get_world_size()
    expect(ValueError, "contiguous", of=lambda: dist.all_gather_into_tensor(
        torch.empty(3, 2 * size).t(), torch.ones(2, 3)))
    expect(ValueError, "gaps", "contiguous",
           of=lambda: backend().allreduce([torch.ones(4, 4)[:, 1]]))
    expect(TypeError, "Short", "cannot combine",
           of=lambda: dist.all_reduce(torch.ones(3, dtype=torch.int16)))
    expect(ValueError, "meta", "host's memory",
           of=lambda: backend().allreduce([torch.ones(3, device="meta")]))
    expect(ValueError, "sparse", of=lambda: backend().allreduce([torch.eye(3).to_sparse()]))
    expect(ValueError, "band", of=lambda: dist.all_reduce(torch.ones(3), dist.ReduceOp.BAND))
    expect(ValueError, "times as many", of=lambda: dist.all_gather_into_tensor(
        torch.empty(2 * size + 1), torch.ones(2)))
    expect(ValueError, "add up", of=lambda: dist.all_to_all_single(
        torch.empty(4), torch.ones(4), [4] + [1] * (size - 1), [4] + [0] * (size - 1)))
    expect(ValueError, "root 7", of=lambda: backend().broadcast([torch.ones(1)], root_7()))
    dist.all_reduce(one := torch.ones(1))
    assert one.item() == size


def shapes() -> None:
    """Tensors of different shapes: everybody is told, nobody hangs."""
    rank = dist.get_rank()
    expect(dist.DistBackendError, "all_reduce", of=lambda: dist.all_reduce(torch.ones(10 + rank)))
    expect(dist.DistBackendError, "all_reduce", of=lambda: dist.all_reduce(torch.ones(10)))


def after_destroy() -> None:
    """A tensor operation of a group that is gone, and a second group."""
    group, ours = dist.group.WORLD, backend()
    work = dist.all_reduce(torch.ones(3), async_op=True)
    work.wait()
    dist.destroy_process_group()
    expect(dist.DistBackendError, "destroyed", "init_process_group",
           of=lambda: ours.allreduce([torch.ones(3)]))
    assert work.is_completed() and group is not None
    begin(STORE[0])
    dist.all_reduce(one := torch.ones(1))
    assert one.item() == dist.get_world_size()


def destroy_under_way() -> None:
    """Work that is never going to be done fails when the group is destroyed."""
    rank = dist.get_rank()
    if rank == 0:
        work = dist.all_reduce(torch.ones(3), async_op=True)
        message = dist.irecv(torch.ones(3), 1)
        time.sleep(0.5)
        dist.destroy_process_group()
        expect(dist.DistBackendError, "destroyed", of=work.wait)
        expect(dist.DistBackendError, "destroyed", of=message.wait)
    else:
        time.sleep(8)  # longer than the other's calls are given to end by themselves
        try:
            dist.destroy_process_group()
        except dist.DistBackendError:
            pass


def timeouts() -> None:
    """wait() with a limit gives up, and the work goes on; set_timeout is the group's."""
    rank = dist.get_rank()
    tensor = torch.ones(3)
    if rank == 0:
        work = dist.all_reduce(tensor, async_op=True)
        expect(dist.DistBackendError, "not done after 300 ms",
               of=lambda: work.wait(datetime.timedelta(milliseconds=300)))
        dist.send(torch.ones(1), 1)
        work.wait()
    elif rank == 1:
        dist.recv(torch.ones(1), 0)
        dist.all_reduce(tensor)
    else:
        dist.all_reduce(tensor)
    backend()._set_timeout(datetime.timedelta(seconds=1)) if hasattr(
        backend(), "_set_timeout") else dist.group.WORLD._get_backend(
            torch.device("cpu")).set_timeout(datetime.timedelta(seconds=1))
    if rank == 0:
        begin = time.monotonic()
        expect(dist.DistBackendError, "1000 ms", of=lambda: dist.all_reduce(tensor))
        assert time.monotonic() - begin < 30
    else:
        time.sleep(3)


class Squares(torch.utils.data.Dataset):
    """Loaded by processes that are forked from a rank."""

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor(float(index * index))


def fork() -> None:
    """Workers of a DataLoader work; in a child the group cannot be used, which is told."""
    loader = torch.utils.data.DataLoader(Squares(), batch_size=8, num_workers=2,
                                         multiprocessing_context="fork")
    for _ in range(2):
        total = torch.zeros(1)
        for rows in loader:
            total += rows.sum()
            dist.all_reduce(total.clone())
        assert total.item() == sum(i * i for i in range(64))
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            expect(dist.DistBackendError, "fork()", "spawn",
                   of=lambda: dist.all_reduce(torch.ones(1)))
            dist.destroy_process_group()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    dist.all_reduce(one := torch.ones(1))
    assert one.item() == dist.get_world_size()


def killed() -> None:
    """The test kills rank 1 while all train."""
    net = DistributedDataParallel(nn.Linear(500, 500))
    rows = torch.randn(4, 500)
    begun = False
    while True:
        try:
            net(rows).sum().backward()
        except Exception as error:
            print(f"told at {time.time():.3f}: {error}", flush=True)
            os._exit(3)
        if not begun:
            print("training", flush=True)
        begun = True


LIVES = 1000


def lives() -> None:
    """Groups made and destroyed in one process leave no thread, no file open and no memory."""
    dist.destroy_process_group()

    def held() -> tuple[int, int, float]:
        with open("/proc/self/statm", encoding="ascii") as statm:
            pages = int(statm.read().split()[1])
        return (len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")),
                pages * os.sysconf("SC_PAGE_SIZE") / 2**20)

    store = dist.PrefixStore("lives", STORE[0])
    size = int(os.environ["WORLD_SIZE"])
    after_warm_up = None
    for life in range(LIVES):
        begin(store)
        dist.all_reduce(one := torch.ones(1))
        assert one.item() == size
        dist.destroy_process_group()
        if life == 20:
            after_warm_up = held()
    time.sleep(0.2)  # what the last one leaves ends by itself
    assert after_warm_up is not None
    files, threads, mib = held()
    print(f"after 20 and {LIVES} lives, files, threads and MiB:", after_warm_up, held(), flush=True)
    assert files <= after_warm_up[0] + 1 and threads <= after_warm_up[1] + 1
    assert mib < after_warm_up[2] + 16


def threads() -> None:
    """Messages by one thread while another waits."""
    rank = dist.get_rank()
    got = torch.empty(1)
    if rank == 0:
        waiting = threading.Thread(target=lambda: dist.recv(got, 1, tag=1))
        waiting.start()
        time.sleep(0.2)
        dist.send(torch.ones(1), 1, tag=2)
        waiting.join(60)
        assert not waiting.is_alive() and got.item() == 5
    elif rank == 1:
        dist.recv(got, 0, tag=2)
        dist.send(torch.full((1,), 5.0), 0, tag=1)


def two_backends() -> None:
    """cpu:paceline,cuda:nccl where there is no GPU: the first of them is ours."""
    dist.destroy_process_group()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dist.init_process_group("cpu:paceline,cuda:gloo", store=STORE[0],
                                rank=int(os.environ["RANK"]),
                                world_size=int(os.environ["WORLD_SIZE"]), timeout=TIMEOUT)
    assert backend().name() == "paceline"
    dist.all_reduce(one := torch.ones(1))
    assert one.item() == dist.get_world_size()


if __name__ == "__main__":
    main(globals())
