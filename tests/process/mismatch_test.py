#!/usr/bin/env python3
"""Processes that disagree about a call: all of them end, soon, and say both calls."""

import support
from support import ProcessTest, paths, tell

SUM = r"all_reduce\({}\)"
# What the ranks call, and what rank 2 calls.
BOTH = {
    "collective": (SUM.format("1000 x float32, sum"), r"all_gather\(1000 x float32 per rank\)"),
    "count": (SUM.format("50000 x float32, sum"), SUM.format("50001 x float32, sum")),
    "small_count": (SUM.format("2 x float32, sum"), SUM.format("3 x float32, sum")),
    "type": (SUM.format("5000 x float32, sum"), SUM.format("5000 x int32, sum")),
    "operation": (SUM.format("5000 x float32, sum"), SUM.format("5000 x float32, max")),
    "root": (r"broadcast\(5000 x float32, root 0\)", r"broadcast\(5000 x float32, root 1\)"),
    "order": (SUM.format("10 x float32, sum"), r"barrier\(\)"),
    "counts_per_rank": (r"all_gather_v\(float32\)", "100 elements where 90 are expected"),
}


class Mismatch(ProcessTest):
    def disagree(self, wire: str):
        for case, both in BOTH.items():
            with self.subTest(case=case):
                ranks = self.start_ranks(4, [paths.disagree, case],
                                         PACELINE_TRANSPORT=wire, PACELINE_TIMEOUT=10)
                self.wait_for_end(ranks, 12)
                for rank in ranks:
                    self.assert_ended(rank, 3, r"error mismatch: .*\brank 2\b",
                                      *(f"error .*{call}" for call in both))
                    tell(f"{case}, {rank.name}: {rank.output().splitlines()[-1]}")

    def test_shm(self):
        self.disagree("shm")

    def test_tcp(self):
        self.disagree("tcp")


if __name__ == "__main__":
    support.main("disagree")
