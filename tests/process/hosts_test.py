#!/usr/bin/env python3
"""Two hosts made of two network namespaces and a cable between them; two ranks on each."""

import time

import support
from support import ProcessTest, paths, tell
import two_hosts

TIMEOUT = 10
SECRET = "the secret of this job"


class TwoHosts(ProcessTest):
    def setUp(self):
        super().setUp()
        self.hosts = two_hosts.TwoHosts()
        self.enterContext(self.hosts)
        # Cleanups go backwards: the ranks are dead before their hosts vanish.
        self.addCleanup(self.end_processes)

    def start_on_both(self, *arguments: str, **variables) -> list:
        """Ranks 0 and 1 on one host, 2 and 3 on the other."""
        return self.start_ranks(
            4, [paths.perf, *arguments],
            inside=lambda rank: self.hosts.inside(rank // 2),
            PACELINE_ROOT=two_hosts.ROOT, PACELINE_TIMEOUT=TIMEOUT, **variables)

    def test_with_a_secret(self):
        ranks = self.start_on_both("-b", "8", "-e", "256K", "-f", "8", PACELINE_SECRET=SECRET)
        self.wait_for_end(ranks, 25)
        for rank in ranks:
            self.assert_ended(rank, 0)
        self.assert_ended(ranks[0], 0, r"# ranks +4 on 2 hosts\n",
                          r"# wires +shm 2 pairs, tcp 4 pairs\n", r"\n +32768 +8192 +float32 ",
                          r"\n +262144 +65536 +float32 .* hierarchical\n",
                          r"# Out of bounds values : 0 OK\n")
        for line in ranks[0].output().splitlines():
            if line.startswith(("# ranks", "# wires", "# Out")):
                tell(line)

    def test_without_a_secret(self):
        begin = time.monotonic()
        ranks = self.start_on_both("-b", "8")
        self.wait_for_end(ranks, TIMEOUT + 2)
        for rank in ranks:
            tell(self.assert_one_sentence(rank, 2, "PACELINE_SECRET", "loopback"))
        tell(f"after {time.monotonic() - begin:.2f} s")

    def bytes_per_call(self, algorithm: str, size: int) -> float:
        """What one all_reduce puts on the cable, for each of the hosts: what a few calls more cost."""
        few, more = 2, 12
        sent = []
        for calls in (few, more):
            before = self.hosts.sent(0) + self.hosts.sent(1)
            ranks = self.start_on_both("-b", str(size), "-n", str(calls), "-w", "0", "-c", "0",
                                       PACELINE_SECRET=SECRET, PACELINE_ALGORITHM=algorithm)
            self.wait_for_end(ranks, 25)
            for rank in ranks:
                self.assert_ended(rank, 0)
            sent.append(self.hosts.sent(0) + self.hosts.sent(1) - before)
        timed_in_each_run = 2  # out of place, in place
        return (sent[1] - sent[0]) / (more - few) / timed_in_each_run / 2

    def test_what_crosses_the_cable(self):
        """2(h-1)/h of the data, instead of the ring's 2(p-1)/p; headers come on top."""
        size = 4 << 20
        for algorithm, least in (("hierarchical", 1.0), ("ring", 1.5)):
            share = self.bytes_per_call(algorithm, size) / size
            tell(f"{algorithm}: {share:.3f} of the size, at least {least}")
            self.assertGreaterEqual(share, least)
            self.assertLess(share, 1.15 * least)


if __name__ == "__main__":
    support.main()
