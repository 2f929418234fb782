"""Paceline and mpi4py in one program, under any launcher:   mpirun -n 4 python beside_mpi4py.py

Under MPICH and Intel MPI the launcher's channel belongs to MPI, so MPI carries the place where
Paceline's ranks meet. Under Open MPI a plain paceline.init() does, too."""

import shutil
import tempfile

import numpy as np
from mpi4py import MPI

import paceline

world = MPI.COMM_WORLD
# On several hosts: a folder that they share.
folder = world.bcast(tempfile.mkdtemp(prefix="paceline-") if world.rank == 0 else None)
with paceline.init(store=folder, rank=world.rank, size=world.size) as comm:
    ours = np.arange(1000, dtype=np.float64) * (comm.rank + 1)
    theirs = ours.copy()
    comm.all_reduce(ours)
    world.Allreduce(MPI.IN_PLACE, theirs)
    assert np.allclose(ours, theirs)
    comm.barrier()  # all have met: the folder has served
    if world.rank == 0:
        shutil.rmtree(folder)
    print(f"rank {comm.rank}: Paceline and {MPI.get_vendor()[0]} agree")
