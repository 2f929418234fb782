"""Training with parameters cut among the ranks (FSDP2), on CPUs, over Paceline:

    torchrun --nproc-per-node 2 python/examples/fsdp.py
"""

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

import paceline.torch  # noqa: F401  (registers the backend)

dist.init_process_group("paceline")
mesh = init_device_mesh("cpu", (dist.get_world_size(),))
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))
for layer in (model[0], model[2]):
    fully_shard(layer, mesh=mesh)
fully_shard(model, mesh=mesh)
for module in (model[0], model[2]):  # gathers and scatters in memory that ranks share
    module.set_allocate_memory_from_process_group_for_comm(True)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

torch.manual_seed(dist.get_rank())
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
