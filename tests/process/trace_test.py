"""What ranks leave behind: traces and logs, of good ends and bad ones; tools/merge-traces."""

import json
import pathlib
import re
import signal
import subprocess
import sys

from support import ProcessTest, main, paths

ITERATIONS = 100
SIZE = 3
SECONDS = 30
SHIFT_NS = 5_000_000_000  # by how much a host's clock is made wrong


class Traces(ProcessTest):
    def trace(self, rank: int):
        return json.loads((pathlib.Path(self.folder) / f"trace.{rank}.json").read_text())

    def calls(self, trace):
        return [e for e in trace["traceEvents"] if e["ph"] == "X"]

    def start_traced(self, *arguments, **variables):
        return self.start_ranks(SIZE, [paths.looper, *arguments], PACELINE_TIMEOUT=SECONDS,
                                PACELINE_TRACE=f"{self.folder}/trace.%r.json", **variables)

    def merge(self, *options, files=None):
        merged = f"{self.folder}/merged.json"
        files = files or [f"{self.folder}/trace.{rank}.json" for rank in range(SIZE)]
        done = subprocess.run([sys.executable, paths.merge, *options, "-o", merged, *files],
                              capture_output=True, text=True, timeout=SECONDS)
        return done, merged

    def test_of_a_good_end(self):
        for rank in self.finished_ranks():
            trace = self.trace(rank)
            calls = self.calls(trace)
            self.assertEqual([c["args"]["sequence"] for c in calls], list(range(ITERATIONS)))
            for call in calls:
                self.assertEqual(call["name"], "all_reduce")
                self.assertEqual(call["pid"], rank)
                self.assertEqual(call["args"]["outcome"], "succeeded")
                self.assertGreater(call["dur"], 0)
            for before, after in zip(calls, calls[1:]):
                # To the 1 ns that is left of times in microseconds.
                self.assertLessEqual(before["ts"] + before["dur"], after["ts"] + 0.001)
            self.assertEqual(trace["otherData"]["rank"], rank)

    def finished_ranks(self):
        ranks = self.start_traced("--iterations", ITERATIONS)
        self.wait_for_end(ranks, SECONDS)
        for rank in ranks:
            self.assert_ended(rank, 0)
        return range(SIZE)

    def overlap(self, merged):
        """For each call: did all ranks have it under way at one moment, as it must be?"""
        by_number = {}
        for call in self.calls(json.loads(pathlib.Path(merged).read_text())):
            by_number.setdefault(call["args"]["sequence"], []).append(call)
        return [len(calls) == SIZE and max(c["ts"] for c in calls)
                <= min(c["ts"] + c["dur"] for c in calls) + 1 for calls in by_number.values()]

    def test_merged(self):
        self.finished_ranks()
        done, merged = self.merge()
        self.assertEqual(done.returncode, 0, done.stderr)
        overlap = self.overlap(merged)
        self.assertEqual(overlap.count(True), ITERATIONS)
        # One of the hosts has a wrong clock.
        trace = self.trace(1)
        trace["otherData"]["origin_unix_ns"] += SHIFT_NS
        (pathlib.Path(self.folder) / "trace.1.json").write_text(json.dumps(trace))
        done, merged = self.merge()
        self.assertEqual(self.overlap(merged).count(True), 0)
        done, merged = self.merge("--align", "calls")
        self.assertEqual(done.returncode, 0, done.stderr)
        ahead = float(re.search(r"rank 1, .*clock \+(\S+) us", done.stdout)[1])
        self.assertAlmostEqual(ahead, SHIFT_NS / 1000, delta=100_000)  # ranks leave a call apart
        self.assertGreater(self.overlap(merged).count(True), ITERATIONS / 4)

    def test_merge_refuses_what_is_no_trace(self):
        other = pathlib.Path(self.folder) / "other.json"
        other.write_text("{}")
        done, _ = self.merge(files=[str(other)])
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, "^merge-traces: .*other.json is not a trace of Paceline's")

    def test_of_a_failure(self):
        """The trace is there as soon as the Error is thrown, not only at the end."""
        ranks = self.start_traced("--watch-after-error", 10)
        self.wait_for_text(ranks, r"iteration \d\d", SECONDS)
        ranks[2].signal(signal.SIGKILL)
        self.wait_for_text(ranks[:2], "watching", SECONDS)
        for rank in (0, 1):
            calls = self.calls(self.trace(rank))
            # A rank that hears of it between two calls, so that its Error names none, has no other.
            in_call = f"(rank {rank} was in call #" in ranks[rank].output()
            self.assertEqual(calls[-1]["args"]["outcome"], "failed" if in_call else "succeeded")
            self.assertTrue(all(c["args"]["outcome"] == "succeeded" for c in calls[:-1]))
            self.assertIsNone(ranks[rank].poll(), self.said(ranks))
        self.assertRegex(ranks[0].output(), "the communicator has failed .*rank 2 .*died")


class Logs(ProcessTest):
    def test_tell_how_it_began(self):
        ranks = self.start_ranks(2, [paths.looper, "--iterations", "3"], PACELINE_TIMEOUT=SECONDS,
                                 PACELINE_LOG="info,engine=debug,tcp=debug,memory=debug",
                                 PACELINE_LOG_FILE=f"{self.folder}/log.%r.txt",
                                 PACELINE_TRANSPORT="tcp")
        self.wait_for_end(ranks, SECONDS)
        for rank in ranks:
            self.assert_ended(rank, 0)
        for rank in (0, 1):
            text = (pathlib.Path(self.folder) / f"log.{rank}.txt").read_text()
            head = rf"(?m)^\S+Z %s rank={rank} host=\S+ pid=\d+ communicator=world %s: "
            for level, part, event in (
                    ("info", "bootstrap", "launcher paceline: 2 ranks have met at 127.0.0.1:"),
                    ("info", "communicator", rf"tcp leads to rank {1 - rank} \(nothing faster "
                                             r"does: shm: not among the allowed transports"),
                    ("debug", "tcp", rf"the link with rank {1 - rank} .* is up$"),
                    ("debug", "engine", r"all_reduce\(65536 x float32, sum\) takes ring with 1 "),
                    ("debug", "memory", r"registered \d+ bytes at 0x\S+ with 1 wires")):
                self.assertRegex(text, head % (level, part) + event)

    def test_are_silent_where_all_is_well(self):
        ranks = self.start_ranks(2, [paths.looper, "--iterations", "3"], PACELINE_TIMEOUT=SECONDS)
        self.wait_for_end(ranks, SECONDS)
        for rank in ranks:
            self.assert_ended(rank, 0)
            self.assertNotRegex(rank.output(), "communicator=")

    def test_warn_of_a_call_that_does_not_move(self):
        ranks = self.start_ranks(2, [paths.looper], PACELINE_TIMEOUT=4)
        self.wait_for_text(ranks, r"iteration \d", SECONDS)
        ranks[1].signal(signal.SIGSTOP)
        self.wait_for_text(ranks[:1], r"warning rank=0 .*engine: all_reduce\(.*\) as call #\d+ has "
                           r"not moved for [2-4]\d\d\d ms, it waits for rank 1 .*4000 ms", SECONDS)
        ranks[1].signal(signal.SIGCONT)  # in time: nothing fails
        said = ranks[0].output().count("iteration")
        self.wait_until(lambda: ranks[0].output().count("iteration") > said, SECONDS, "it goes on")


if __name__ == "__main__":
    main()
