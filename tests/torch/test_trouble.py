"""Errors, ends and deaths."""

import time


def test_trouble(run):
    """On two ranks."""
    run("trouble.py", ["arguments", "shapes", "after_destroy", "destroy_under_way", "timeouts",
                       "fork", "threads", "two_backends"], 2)


def test_lives(run):
    """1,000 groups in one process."""
    run("trouble.py", ["lives"], 2)


def test_killed(ranks):
    """A rank dies in training: the others end at once and say who it was."""
    ranks.start("trouble.py", ["killed"], 3)
    for rank in range(3):
        ranks.wait_for_text("training", rank)
    died = time.time()
    ranks.kill(1)
    codes = ranks.wait()
    assert codes == [3, -9, 3], ranks.said()
    for rank in (0, 2):
        told = float(ranks.output(rank).split("told at ")[1].split(":")[0])
        assert "rank 1" in ranks.output(rank), ranks.said()
        assert told - died < 60, ranks.said()
