"""Data-parallel training over Paceline:

    torchrun --nproc-per-node 2 python/examples/ddp.py
"""

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

import paceline.torch

dist.init_process_group("paceline")
torch.manual_seed(0)
model = DistributedDataParallel(torch.nn.Linear(64, 10))
model.register_comm_hook(None, paceline.torch.average_hook)  # not needed; faster
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

torch.manual_seed(dist.get_rank())  # every rank has rows of its own
rows, wanted = torch.randn(128, 64), torch.randint(10, (128,))
for step in range(20):
    loss = torch.nn.functional.cross_entropy(model(rows), wanted)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
mean = loss.detach()
dist.all_reduce(mean, dist.ReduceOp.AVG)
if dist.get_rank() == 0:
    print(f"loss after 20 steps: {mean:.4f}")
dist.destroy_process_group()
