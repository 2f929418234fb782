#!/usr/bin/env python3
"""Many ranks on one machine: how long until all have met, in how many rounds, and what each holds."""

import re
import time

import support
from support import ProcessTest, paths, tell

LINE = re.compile(r"^(ready|end) at ([\d.]+): (\d+) rounds, (\d+) control links, (\d+) links, "
                  r"(\d+) descriptors of them, (\d+) open files, (\d+) threads, (\d+) KiB private, "
                  r"(\d+) bytes in links$", re.MULTILINE)


class Scale(ProcessTest):
    def meet(self, size: int, seconds: float):
        begin = time.monotonic()
        ranks = self.start_ranks(size, [paths.looper, "--count", 8, "--iterations", 3, "--report",
                                        "yes"], PACELINE_TIMEOUT=100)
        spawned = time.monotonic() - begin
        self.wait_for_end(ranks, 110)
        for rank in ranks:
            self.assert_ended(rank, 0, "done")
        found = [{m.group(1): [float(x) for x in m.groups()[1:]] for m in LINE.finditer(r.output())}
                 for r in ranks]
        ready = [f["ready"] for f in found]
        end = [f["end"] for f in found]
        met = max(r[0] for r in ready) - begin
        doublings = (size - 1).bit_length()
        tell(f"{size} ranks: started in {spawned:.2f} s, all had met {met:.2f} s after the first was "
             f"started, in {ready[0][1]:.0f} rounds (2 x log2); per rank at most: "
             f"{max(r[2] for r in ready):.0f} control links, {max(r[5] for r in ready):.0f} open files "
             f"before and {max(r[5] for r in end):.0f} after three all_reduces, "
             f"{max(r[6] for r in ready):.0f} threads, {max(r[7] for r in ready):.0f} KiB of its own "
             f"before and {max(r[7] for r in end):.0f} after, {max(r[3] for r in end):.0f} links")
        for rank in ready:
            self.assertEqual(rank[1], 2 * doublings)
            self.assertLessEqual(rank[2], 2 * doublings + 1)  # and one that closes the ring
            self.assertEqual(rank[6], 2)  # the program's and the service thread
            self.assertLess(rank[5], 3 + 8 + 2 * doublings + 16)  # and handshakes under way
        self.assertLess(met, seconds)

    def test_64(self):
        self.meet(64, 10)

    def test_256(self):
        self.meet(256, 20)

    def test_512(self):
        self.meet(512, 40)


if __name__ == "__main__":
    support.main()
