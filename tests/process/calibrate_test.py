#!/usr/bin/env python3
"""paceline_calibrate on two hosts made of one, and what can be done with what it prints."""

import json
import math
import subprocess

import support
from support import ProcessTest, environment, paths, tell

ENOUGH = 100  # seconds; alone it takes a few, of which the sanitizers make many
ATTEMPTS = 3  # whoever else runs meanwhile may spoil a measurement
LEVELS = ("inside", "between")


def plausible(parameters: dict) -> bool:
    """A message over loopback takes longer than one through memory; nothing takes no time."""
    return (parameters["between"]["eager"] > parameters["inside"]["eager"]
            and all(parameters[level]["eager"] > 50 and parameters[level]["beta"] > 0.001
                    for level in LEVELS))


class Calibrate(ProcessTest):
    def test_what_is_printed_is_a_tuning_file(self):
        measured = []
        while not measured or not plausible(measured[-1]):
            self.assertLess(len(measured), ATTEMPTS, measured)
            measured.append(self.measured())
            for level in LEVELS:
                for name, value in measured[-1][level].items():
                    self.assertTrue(math.isfinite(value) and value >= 0, (level, name, value))

    def measured(self) -> dict:
        """Ranks 0 and 1 on one host, 2 on another: both levels are measured."""
        ranks = self.start_ranks(3, [paths.calibrate],
                                 each=lambda rank: {"PACELINE_HOST_ID": "ab"[rank // 2]})
        self.wait_for_end(ranks, ENOUGH)
        for rank in ranks:
            self.assert_ended(rank, 0)
        printed = ranks[0].output()
        for rank in ranks[1:]:
            self.assertEqual(rank.output(), "")
        tell(printed)
        words = {line.split()[0] for line in printed.splitlines()}
        self.assertEqual(words, {"#", "inside", "between", "host", "gamma", "mapped"})

        file = f"{self.folder}/tuning"
        with open(file, "w", encoding="ascii") as out:
            out.write(printed)
        said = subprocess.run(
            [paths.program, "explain", "--collective", "all_reduce", "--bytes", "64K", "--ranks",
             "4", "--hosts", "2", "--tuning", file, "--json"],
            env=environment(), capture_output=True, text=True, check=False, timeout=ENOUGH)
        self.assertEqual(said.returncode, 0, said.stderr)
        return json.loads(said.stdout)["parameters_ns"]

    def test_one_rank_is_told_to_bring_another(self):
        ranks = self.start_ranks(1, [paths.calibrate])
        self.wait_for_end(ranks, ENOUGH)
        self.assert_ended(ranks[0], 1, r"there is one rank: start at least two")


if __name__ == "__main__":
    support.main("calibrate", "program")
