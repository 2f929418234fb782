#!/usr/bin/env python3
"""What is wrong at the start is said in one sentence, in time; strangers at the door do no harm."""

import os
import re
import socket
import threading

import support
from support import ProcessTest, free_port, paths, tell

TIMEOUT = 3  # seconds, PACELINE_TIMEOUT
SLACK = 20  # what starting a process and leaving takes on a busy machine, and more
SECRET = "the secret of this job"


class BadStart(ProcessTest):
    def run_ranks(self, size: int, each=lambda rank: {}, **variables) -> list:
        variables.setdefault("PACELINE_TIMEOUT", TIMEOUT)
        ranks = self.start_ranks(size, [paths.looper, "--iterations", "1"], each, **variables)
        self.wait_for_end(ranks, TIMEOUT + SLACK)
        return ranks

    def assert_refused(self, rank, *patterns: str):
        tell(f"{rank.name}: {self.assert_one_sentence(rank, 3, *patterns)}")

    def test_same_number_twice(self):
        ranks = self.run_ranks(3, lambda rank: {"PACELINE_RANK": min(rank, 1)})
        for rank in ranks:
            self.assert_refused(rank, "invalid_configuration", "two processes say they are rank 1",
                                "PACELINE_RANK")

    def test_rank_outside_the_size(self):
        rank, = self.run_ranks(1, lambda _: {"PACELINE_RANK": 5, "PACELINE_SIZE": 4})
        self.assert_refused(rank, "invalid_configuration", "PACELINE_RANK is 5",
                            "PACELINE_SIZE is 4", r"allowed ranks: 0\.\.3")

    def test_different_sizes(self):
        ranks = self.run_ranks(2, lambda rank: {"PACELINE_SIZE": 2 + rank})
        for rank in ranks:
            self.assert_refused(rank, "invalid_configuration", "do not agree on how many",
                                "says 2", "says 3", "PACELINE_SIZE")

    def test_unreachable_root(self):
        root = f"127.0.0.1:{free_port()}"
        rank, = self.run_ranks(1, lambda _: {"PACELINE_RANK": 1, "PACELINE_SIZE": 2},
                               PACELINE_ROOT=root)
        self.assert_refused(rank, "timeout", root, "Connection refused", "is rank 0 started")

    def test_wrong_secret(self):
        ranks = self.run_ranks(3, lambda rank: {
            "PACELINE_SECRET": "the secret of another job" if rank == 1 else SECRET})
        self.assert_refused(ranks[1], "authentication_failed", "PACELINE_SECRET")
        for rank in (ranks[0], ranks[2]):
            self.assert_refused(rank, "timeout", "rank 1 of 3", "PACELINE_TIMEOUT")
        # Rank 0 knows more than that somebody is missing.
        self.assertRegex(ranks[0].output(), "error timeout: .*wrong secret")
        self.assertRegex(ranks[0].output(),
                         r"warning rank=0 .* bootstrap: refused 127\.0\.0\.1:\d+: wrong secret")

    def test_misspelt_variable(self):
        rank, = self.run_ranks(1, PACELINE_TIMOUT=3, PACELINE_TIMEOUT=60)  # waits for no time-out
        self.assert_refused(rank, "invalid_configuration", "PACELINE_TIMOUT", "PACELINE_TIMEOUT")


class Strangers(ProcessTest):
    """At rank 0's port, before the job has met and while it meets."""

    RUDE = [os.urandom(4096), b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\0" * 4096, b""]

    def knock(self, address, said: bytes) -> socket.socket:
        connection = socket.create_connection(address, timeout=5)
        try:
            connection.sendall(said)
        except ConnectionError:
            pass  # thrown out before we were done
        return connection

    def listens(self, address) -> bool:
        try:
            self.knock(address, b"").close()
            return True
        except ConnectionRefusedError:
            return False

    def test_do_no_harm(self):
        address = ("127.0.0.1", free_port())
        variables = {"PACELINE_ROOT": f"{address[0]}:{address[1]}", "PACELINE_SIZE": 3,
                     "PACELINE_TIMEOUT": 10}
        command = [paths.looper, "--iterations", "20"]
        ranks = [self.start("rank 0", command, PACELINE_RANK=0, **variables)]
        self.wait_until(lambda: self.listens(address), SLACK, "rank 0 listens")

        kept = [self.knock(address, said) for said in self.RUDE]
        stop = threading.Event()

        def go_on_knocking():
            while not stop.wait(0.01):
                try:
                    kept.append(self.knock(address, self.RUDE[len(kept) % len(self.RUDE)]))
                except OSError:
                    continue  # all ranks have met and the port is closed

        stranger = threading.Thread(target=go_on_knocking)
        stranger.start()
        try:
            ranks += [self.start(f"rank {rank}", command, PACELINE_RANK=rank, **variables)
                      for rank in (1, 2)]
            self.wait_for_end(ranks, 10 + SLACK)
        finally:
            stop.set()
            stranger.join()
            for connection in kept:
                connection.close()
        for rank in ranks:
            self.assert_ended(rank, 0, "done")
        # Each is told of at first, and then fewer and fewer.
        told = re.findall(r"bootstrap: refused 127.*\(refusal (\d+)\)", ranks[0].output())
        self.assertGreater(len(told), 0)
        self.assertTrue(all(int(n) <= 16 or int(n).bit_count() == 1 for n in told), told)
        tell(f"{len(kept)} strangers, and three ranks that met")


if __name__ == "__main__":
    support.main()
