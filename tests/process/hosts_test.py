#!/usr/bin/env python3
"""Two hosts made of two network namespaces and a cable between them; two ranks on each."""

import time

import support
from support import ProcessTest, paths, tell
import two_hosts

TIMEOUT = 10


class TwoHosts(ProcessTest):
    def setUp(self):
        super().setUp()
        self.hosts = two_hosts.TwoHosts()
        self.enterContext(self.hosts)
        # Cleanups go backwards: the ranks are dead before their hosts vanish.
        self.addCleanup(self.end_processes)

    def start_on_both(self, **variables) -> list:
        """Ranks 0 and 1 on one host, 2 and 3 on the other."""
        return self.start_ranks(
            4, [paths.perf, "-b", "8", "-e", "256K", "-f", "8"],
            inside=lambda rank: self.hosts.inside(rank // 2),
            PACELINE_ROOT=two_hosts.ROOT, PACELINE_TIMEOUT=TIMEOUT, **variables)

    def test_with_a_secret(self):
        ranks = self.start_on_both(PACELINE_SECRET="the secret of this job")
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
        ranks = self.start_on_both()
        self.wait_for_end(ranks, TIMEOUT + 2)
        for rank in ranks:
            tell(self.assert_one_sentence(rank, 2, "PACELINE_SECRET", "loopback"))
        tell(f"after {time.monotonic() - begin:.2f} s")


if __name__ == "__main__":
    support.main()
