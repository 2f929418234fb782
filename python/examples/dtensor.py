"""A product of matrices that are cut among the ranks, over Paceline:

    torchrun --nproc-per-node 2 python/examples/dtensor.py
"""

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

import paceline.torch  # noqa: F401  (registers the backend)

dist.init_process_group("paceline")
mesh = init_device_mesh("cpu", (dist.get_world_size(),))
torch.manual_seed(0)
a, b = torch.randn(512, 256), torch.randn(256, 128)
# Columns of the one meet rows of the other: each rank has a part of every sum.
product = distribute_tensor(a, mesh, [Shard(1)]) @ distribute_tensor(b, mesh, [Shard(0)])
error = (product.full_tensor() - a @ b).abs().max()
if dist.get_rank() == 0:
    print(f"largest difference to one process: {error:.1e}")
dist.destroy_process_group()
