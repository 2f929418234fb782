#!/usr/bin/env python3
"""Two hosts made of two network namespaces and a cable between them; two ranks on each."""

import os
import subprocess
import time

import support
from support import ProcessTest, paths, tell

ADDRESSES = ("10.77.0.1", "10.77.0.2")
ROOT = f"{ADDRESSES[0]}:5000"  # nobody else is in the namespace
TIMEOUT = 10


class TwoHosts(ProcessTest):
    def setUp(self):
        super().setUp()
        if os.geteuid() != 0:
            self.fail("network namespaces need root: run this test as root")
        self.hosts = [f"paceline-{os.getpid()}-{side}" for side in "ab"]
        for host in self.hosts:
            self.ip("netns", "add", host)
            # Run after the ranks are dead: cleanups go backwards, so the ranks' is done again here.
            self.addCleanup(self.remove, host)
        one, other = self.hosts
        self.ip("-n", one, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns",
                other)
        for host, address in zip(self.hosts, ADDRESSES):
            self.ip("-n", host, "addr", "add", f"{address}/24", "dev", "eth0")
            self.ip("-n", host, "link", "set", "lo", "up")
            self.ip("-n", host, "link", "set", "eth0", "up")

    def ip(self, *words: str):
        result = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0, f"ip {' '.join(words)}: {result.stderr}")

    def remove(self, host: str):
        self.end_processes()
        self.ip("netns", "del", host)

    def start_on_both(self, **variables) -> list:
        """Ranks 0 and 1 on one host, 2 and 3 on the other."""
        return self.start_ranks(
            4, [paths.perf, "-b", "8", "-e", "64K", "-f", "8"],
            inside=lambda rank: ["ip", "netns", "exec", self.hosts[rank // 2]],
            PACELINE_ROOT=ROOT, PACELINE_TIMEOUT=TIMEOUT, **variables)

    def test_with_a_secret(self):
        ranks = self.start_on_both(PACELINE_SECRET="the secret of this job")
        self.wait_for_end(ranks, 25)
        for rank in ranks:
            self.assert_ended(rank, 0)
        self.assert_ended(ranks[0], 0, r"# ranks +4 on 2 hosts\n",
                          r"# wires +shm 2 pairs, tcp 4 pairs\n", r"\n +32768 +8192 +float32 ",
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
