"""Coming and going, signals, and deaths."""

import signal

import pytest
from conftest import PATIENCE


@pytest.mark.parametrize("size", [1, 2])
def test_a_thousand_lives(jobs, size):
    # Allocators keep some; a leak of one page each time would be four times as much.
    ranks = jobs.by_hand(size, "life", "many_lives", 1000, 1000)
    jobs.wait_for_end(ranks, PATIENCE)
    for rank in ranks:
        jobs.assert_ended(rank, 0, "many_lives ok")
        print(rank.output())


def test_lives_under_a_launcher(jobs):
    # PMIx keeps what each communicator leaves in the channel: 2.3 KiB of it on one of the ranks.
    print(jobs.mpirun(2, "life", "many_lives", 300, 4 * 300))


@pytest.mark.parametrize("what", ["blocking", "work"])
def test_ctrl_c(jobs, what):
    ranks = jobs.by_hand(2, "life", "interrupted", what)
    jobs.wait_for_end(ranks, PATIENCE)
    for rank in ranks:
        jobs.assert_ended(rank, 0, "interrupted ok")
    print(ranks[1].output())


def test_ctrl_c_while_the_others_are_awaited(jobs):
    ranks = jobs.by_hand(1, "life", "interrupted_init", PACELINE_SIZE=2)
    jobs.wait_for_end(ranks, PATIENCE)
    jobs.assert_ended(ranks[0], 0, "interrupted ok")


def test_handlers_of_signals(jobs, tmp_path):
    ranks = jobs.by_hand(2, "life", "handled", tmp_path)
    jobs.wait_for_end(ranks, PATIENCE)
    for rank in ranks:
        jobs.assert_ended(rank, 0, "handled ok")


@pytest.mark.parametrize("transport", ["shm", "tcp"])
def test_a_rank_is_killed(jobs, transport):
    ranks = jobs.by_hand(3, "life", "killed", 1, PACELINE_TRANSPORT=transport)
    jobs.wait_for_end(ranks, PATIENCE)
    assert ranks[1].poll() == -signal.SIGKILL
    for rank in (ranks[0], ranks[2]):
        jobs.assert_ended(rank, 0, "killed ok")


def test_stores(jobs, tmp_path):
    ranks = [jobs.start(f"rank {r}", jobs.ranks_command("life", "meet_in", tmp_path, r, 3),
                        **jobs.environment()) for r in range(3)]
    jobs.wait_for_end(ranks, PATIENCE)
    for rank in ranks:
        jobs.assert_ended(rank, 0, "meet_in ok")


def test_ranks_that_just_end(jobs):
    ranks = jobs.by_hand(3, "life", "unclosed")
    jobs.wait_for_end(ranks, PATIENCE)
    for rank in ranks:
        jobs.assert_ended(rank, 0, "unclosed ok")
        assert "died" not in rank.output(), rank.output()
