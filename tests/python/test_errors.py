"""What goes wrong by the caller's doing."""

import pytest


@pytest.mark.parametrize("size", [1, 2, 3])
def test_errors(jobs, size):
    jobs.mpirun(size, "errors", "all")
