"""DDP, FSDP2 and DTensor against one process; that communication overlaps with backward."""

import pytest


@pytest.mark.parametrize("size", [2, 4])
def test_training(run, size):
    """The same parameters as alone."""
    run("training.py", ["ddp", "ddp_views", "ddp_average", "ddp_bf16", "fsdp", "dtensor"], size)


def test_overlap(run):
    """By the timestamps of a trace."""
    run("training.py", ["overlap"], 2)
