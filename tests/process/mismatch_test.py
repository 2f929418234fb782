#!/usr/bin/env python3
"""Processes that disagree about a call: all of them end, and say both calls."""

import support
from support import ProcessTest, paths, tell


class Mismatch(ProcessTest):
    def disagree(self, wire: str):
        ranks = self.start_ranks(4, [paths.looper, "--count", 50000, "--odd-rank", 2,
                                     "--odd-count", 40000],
                                 PACELINE_TRANSPORT=wire, PACELINE_TIMEOUT=10)
        self.wait_for_end(ranks, 12)
        for rank in ranks:
            self.assert_ended(rank, 3, r"error mismatch: .*\brank 2\b",
                              r"error .*all_reduce\(50000 x float32, sum\)",
                              r"error .*all_reduce\(40000 x float32, sum\)")
            tell(f"{rank.name}: {rank.output().splitlines()[-1]}")

    def test_shm(self):
        self.disagree("shm")

    def test_tcp(self):
        self.disagree("tcp")


if __name__ == "__main__":
    support.main()
