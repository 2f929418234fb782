#!/usr/bin/env python3
"""A rank dies or is stopped in mid-run: the others say so, soon, and by its number."""

import signal
import time

import support
from support import ProcessTest, paths, tell

SIZE = 4
SOON = 5  # seconds in which a death must be known to all
HEARTBEAT = 2
TIMEOUT = 5
# Large, so that a signal mostly finds ranks within a call.
COUNT = 1 << 20


class Killed(ProcessTest):
    def kill_each_in_turn(self, wire: str, *flags):
        for victim in range(SIZE):
            self.end_processes()  # those of the victim before
            with self.subTest(victim=victim):
                ranks = self.start_ranks(SIZE, [paths.looper, "--count", COUNT, *flags],
                                         PACELINE_TRANSPORT=wire)
                self.wait_for_text(ranks, "iteration [1-9]", 20)
                killed = time.monotonic()
                ranks[victim].signal(signal.SIGKILL)
                others = [rank for rank in ranks if rank is not ranks[victim]]
                self.wait_for_end(others, SOON)
                for rank in others:
                    self.assert_ended(rank, 3, rf"error peer_failed: .*\brank {victim}\b")
                last = max(rank.ended_at for rank in others)
                tell(f"{wire}: rank {victim} killed, the others ended after {last - killed:.2f} s"
                     f": {others[0].output().splitlines()[-1]}")

    def test_shm(self):
        self.kill_each_in_turn("shm")

    def test_tcp(self):
        self.kill_each_in_turn("tcp")

    def test_send_recv_shm(self):
        self.kill_each_in_turn("shm", "--pass", "yes", "--memory", "plain")

    def test_send_recv_tcp(self):
        self.kill_each_in_turn("tcp", "--pass", "yes")


class Survivors(ProcessTest):
    def go_on(self, wire: str):
        """Ranks die one after the other; the rest goes on each time, and computes the right sums."""
        ranks = self.start_ranks(5, [paths.looper, "--count", 5000, "--shrink", 9],
                                 PACELINE_TRANSPORT=wire, PACELINE_TIMEOUT=20)
        left = list(ranks)
        self.wait_for_text(left, "iteration [1-9]", 20)
        for victim in (0, 3, 1):
            killed = time.monotonic()
            ranks[victim].signal(signal.SIGKILL)
            left.remove(ranks[victim])
            self.wait_for_text(left, rf"went on as rank \d of {len(left)}\niteration", 20)
            tell(f"{wire}: rank {victim} killed, {len(left)} ranks computed again after "
                 f"{time.monotonic() - killed:.2f} s")
        for number, rank in enumerate(left):
            self.assertIsNone(rank.poll(), self.said([rank]))
            self.assertRegex(rank.output(), rf"went on as rank {number} of 2\n")

    def test_shm(self):
        self.go_on("shm")

    def test_tcp(self):
        self.go_on("tcp")


class Stopped(ProcessTest):
    def stop_and_continue(self, wire: str, memory: str, victim: int, *flags):
        watch = 5  # seconds; the rank that was stopped is woken well within them
        ranks = self.start_ranks(
            SIZE, [paths.looper, "--count", COUNT, "--memory", memory, "--watch-after-error", watch,
                   *flags],
            PACELINE_TRANSPORT=wire, PACELINE_HEARTBEAT_TIMEOUT=HEARTBEAT, PACELINE_TIMEOUT=TIMEOUT)
        self.wait_for_text(ranks, "iteration [1-9]", 20)
        stopped = time.monotonic()
        ranks[victim].signal(signal.SIGSTOP)
        others = [rank for rank in ranks if rank is not ranks[victim]]
        self.wait_for_text(others, "watching", TIMEOUT + 5)
        tell(f"{wire}, {memory}: rank {victim} stopped, the others knew after "
             f"{time.monotonic() - stopped:.2f} s")
        for rank in others:
            self.assertRegex(rank.output(), rf"error (peer_failed|timeout): .*\brank {victim}\b")
        for rank in others:
            self.assertIsNone(rank.poll(), "it should still watch its buffers" + self.said([rank]))
        ranks[victim].signal(signal.SIGCONT)
        self.wait_for_end(ranks, TIMEOUT + 10)
        for rank in others:
            self.assert_ended(rank, 3, "buffers untouched")
        # Who comes back hears what has happened, and does not blame those who have left.
        self.assert_ended(ranks[victim], 3, rf"error peer_failed: rank {victim}\b")
        for rank in (others[0], ranks[victim]):
            text = [line for line in rank.output().splitlines() if line.startswith("error ")]
            tell(f"  {rank.name}: {text[-1]}")

    def test_shm_allocate(self):
        self.stop_and_continue("shm", "allocate", 2)

    def test_shm_allocate_root(self):
        self.stop_and_continue("shm", "allocate", 0)

    def test_shm_plain(self):
        self.stop_and_continue("shm", "plain", 1)

    def test_tcp(self):
        self.stop_and_continue("tcp", "allocate", 3)

    def test_send_recv_shm(self):
        self.stop_and_continue("shm", "allocate", 1, "--pass", "yes")

    def test_send_recv_tcp(self):
        self.stop_and_continue("tcp", "plain", 2, "--pass", "yes")


if __name__ == "__main__":
    support.main()
