"""Sums an array over all ranks:   mpirun -n 4 python numpy_all_reduce.py"""

import numpy as np

import paceline

with paceline.init() as comm:
    x = np.full(4, comm.rank, dtype=np.float32)
    comm.all_reduce(x)
    expected = comm.size * (comm.size - 1) / 2
    assert (x == expected).all()
    print(f"rank {comm.rank} of {comm.size}: {x}")
