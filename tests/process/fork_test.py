"""Ranks that fork: children neither hang nor harm, whatever they do with what they inherited."""

import signal
import time

from support import ProcessTest, main, paths, tell

FORKS = 24  # each of the kinds of children (forker.cpp) four times
SECONDS = 60  # for all of it, on a machine that does something else as well
# What a death must be noticed in; without the closing of its control links it would take QUIET.
NOTICED = 5
QUIET = 30


class Fork(ProcessTest):
    def fork_on(self, transport: str, memory: str):
        ranks = self.start_ranks(2, [paths.forker, "--forks", FORKS, "--memory", memory],
                                 PACELINE_TRANSPORT=transport,
                                 PACELINE_TIMEOUT=SECONDS)
        self.wait_for_end(ranks, SECONDS + 5)
        for rank in ranks:
            self.assert_ended(rank, 0, r"done after \d+ rounds")
            tell(f"{rank.name}: {rank.output().splitlines()[-1]}")

    def test_shm(self):
        self.fork_on("shm", "allocate")

    def test_shm_plain(self):
        self.fork_on("shm", "plain")

    def test_tcp(self):
        self.fork_on("tcp", "allocate")

    def test_tcp_plain(self):
        self.fork_on("tcp", "plain")


class Orphan(ProcessTest):
    def test_does_not_hide_a_death(self):
        """A child that outlives its rank holds copies of the rank's sockets."""
        ranks = self.start_ranks(2, [paths.forker, "--linger", 2 * QUIET],
                                 PACELINE_HEARTBEAT_TIMEOUT=QUIET, PACELINE_TIMEOUT=QUIET)
        self.wait_for_text(ranks, "forked", SECONDS)
        killed_at = time.monotonic()
        ranks[1].signal(signal.SIGKILL)
        self.wait_for_end([ranks[0]], QUIET)
        took = ranks[0].ended_at - killed_at
        self.assert_ended(ranks[0], 3, "error peer_failed: rank 1 .*died")
        tell(f"noticed after {took:.3f} s")
        self.assertLess(took, NOTICED)


if __name__ == "__main__":
    main()
