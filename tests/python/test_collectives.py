"""Every collective × type on 1 to 4 ranks."""

import pytest


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_collectives(jobs, size):
    said = jobs.mpirun(size, "collectives", "all")
    assert said.count("check_all_reduce ok") == size


def test_over_tcp(jobs):
    jobs.mpirun(2, "collectives", "all", PACELINE_TRANSPORT="tcp")


@pytest.mark.parametrize("size", [1, 2, 4])
def test_arrays_memory_and_work(jobs, size):
    jobs.mpirun(size, "arrays", "all")
