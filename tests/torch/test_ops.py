"""Every operation on 1, 2 and 4 ranks, over shared memory and over TCP."""

import pytest

ALONE = ["reductions", "special_reductions", "moves", "all_to_all", "uneven", "coalesced",
         "objects", "futures", "memory"]
SEVERAL = ["messages", "groups"]  # what needs a peer


@pytest.mark.parametrize("size", [1, 2, 4])
def test_ops(run, size):
    """In memory that ranks share."""
    run("ops.py", ALONE + (SEVERAL if size > 1 else []), size)


def test_tcp(run):
    """Over sockets."""
    run("ops.py", ["reductions", "all_to_all", "messages", "memory"], 2, PACELINE_TRANSPORT="tcp")
