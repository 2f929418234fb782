#!/usr/bin/env python3
"""bench/compare/run as its users start it, with libraries that are here in any case: Paceline
itself, and two that are bad on purpose."""

import argparse
import csv
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
RUN = ROOT / "bench" / "compare" / "run"
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "bench" / "compare"))
import report  # noqa: E402
import plots  # noqa: E402

SMALL = ["--sizes", "8,4K", "--rounds", "1", "--budget", "1"]
OURS = ["--peers", "paceline,paceline-allocate"]
paths = argparse.Namespace()


class Compare(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = pathlib.Path(folder.name) / "out"

    def command(self, *words) -> list[str]:
        return [str(RUN), "--folder", str(paths.folder), "--out", str(self.out), *map(str, words)]

    def compare(self, *words, expect: int) -> str:
        process = subprocess.Popen(self.command(*words), stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        said = process.communicate()[0]
        self.assertEqual(process.returncode, expect, said)
        self.assert_nothing_left(process.pid)
        return said

    def assert_nothing_left(self, pid: int):
        """No rank, no namespace and no file in memory outlives the run."""
        scratch = f"paceline-compare-{pid}-"
        self.assertEqual([line for line in _processes() if scratch in line], [])
        self.assertEqual([p for p in os.listdir("/dev/shm") if p.startswith(scratch)], [])
        self.assertFalse(pathlib.Path(f"/run/netns/paceline-{pid}-a").exists())

    def rows(self, name: str) -> list[dict]:
        with open(self.out / name, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def test_what_it_writes(self):
        said = self.compare(*SMALL, *OURS, "--collective", "all_reduce,all_gather", expect=0)
        rows = self.rows("results.csv")
        self.assertEqual(list(rows[0]), report.COLUMNS)
        ours = [r for r in rows if not r["library"].startswith("limit-")]
        self.assertEqual({(r["library"], r["collective"], r["bytes"]) for r in ours},
                         {(library, collective, size)
                          for library in ("paceline", "paceline-allocate")
                          for collective in ("all_reduce", "all_gather") for size in ("8", "4096")})
        for row in ours:
            self.assertEqual((row["status"], row["errors"]), ("ok", "0"))
            self.assertGreater(float(row["latency_us"]), 0)
            self.assertGreater(float(row["back_to_back_us"]), 0)
            if len(os.sched_getaffinity(0)) > 1:
                self.assertGreater(float(row["line_ns"]), 1)
        # Limits know about all_reduce only, and say so.
        limits = {(r["library"], r["collective"]): r["status"] for r in rows if r not in ours}
        self.assertEqual(limits["limit-zero-copy", "all_reduce"], "ok")
        self.assertEqual(limits["limit-zero-copy", "all_gather"], "not offered")
        self.assertEqual(len(self.rows("summary.csv")), 8 + 8)
        text = (self.out / "report.md").read_text(encoding="utf-8")
        self.assertIn(text, said)
        for expected in ("## all_gather. Latency", "| paceline-allocate |", "of the limit",
                         "buffers from Communicator::allocate"):
            self.assertIn(expected, text)
        if plots.WITHOUT not in said:
            for name in ("all_reduce-time", "all_gather-bandwidth"):
                for suffix in (".png", ".svg"):
                    self.assertGreater((self.out / (name + suffix)).stat().st_size, 1000)

    def test_tensors(self):
        said = self.compare("--sizes", "8,64K", "--rounds", 1, "--budget", 5, "--tensors", 10,
                            "--adapter", f"wrong={paths.wrong}", "--peers", "paceline,wrong",
                            "--ranks", 1, expect=1)
        wrong = {(r["library"], r["bytes"]): r["errors"] for r in self.rows("results.csv")}
        self.assertEqual(wrong["paceline", "65536"], "0")
        self.assertEqual(wrong["wrong", "65536"], "20")  # of each tensor, checked twice
        self.assertEqual(wrong["wrong-fused", "65536"], "2")
        self.assertIn("10 tensors of the size", said)
        self.assertIn("--tensors is for all_reduce only",
                      self.compare(*SMALL, "--tensors", 2, "--collective", "broadcast", expect=2))

    def test_a_wrong_result(self):
        # What --adapter gives is measured, though --peers does not name it.
        said = self.compare(*SMALL, "--ranks", 1, "--adapter", f"wrong={paths.wrong}", "--peers",
                            "paceline", expect=1)
        self.assertIn("WRONG RESULTS: wrong", said)
        self.assertEqual({r["errors"] for r in self.rows("results.csv") if r["library"] == "wrong"},
                         {"2"})

    def test_a_library_that_hangs(self):
        said = self.compare(*SMALL, "--ranks", 1, "--adapter", f"stuck={paths.stuck}", "--peers",
                            "paceline,stuck", "--no-limits", "--stall", 5, expect=1)
        self.assertIn("stuck hung in round 1", said)
        status = {(r["library"], r["bytes"]): r["status"] for r in self.rows("results.csv")}
        self.assertEqual(status["stuck", "8"], "ok")
        self.assertEqual(status["stuck", "4096"], "hung")
        self.assertEqual(status["paceline", "4096"], "ok")

    def test_what_cannot_be_done(self):
        for words, expected in (
                (["--peers", "nccl"], 'there is no library "nccl"; here are paceline'),
                (["--sizes", "8,7"], '"7" is not a size'),
                (["--collective", "scan"], 'there is no "scan"; allowed: all_reduce'),
                (["--adapter", "x=/nonexistent"], "a program to run")):
            self.assertIn(expected, self.compare(*SMALL, *words, expect=2))

    def test_what_is_here(self):
        self.assertRegex(self.compare("--list", expect=0),
                         r"(?m)^paceline-allocate .*\n(.*\n)*intel-mpi .*--python-peers")

    @unittest.skipUnless(os.geteuid() == 0, "network namespaces need root")
    def test_two_hosts(self):
        self.compare(*SMALL, *OURS, "--where", "two-hosts", "--ranks", 4, expect=0)
        rows = self.rows("results.csv")
        self.assertEqual({(r["library"], r["bytes"], r["status"], r["errors"]) for r in rows},
                         {(library, size, "ok", "0") for size in ("8", "4096")
                          for library in ("paceline", "paceline-allocate", "limit-cable")})

    @unittest.skipUnless(os.geteuid() == 0, "network namespaces need root")
    def test_interrupted(self):
        process = subprocess.Popen(self.command(*OURS, "--where", "tcp", "--rounds", 1000),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        results = self.out / "results.csv"
        namespace = pathlib.Path(f"/run/netns/paceline-{process.pid}-a")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if results.exists() and results.stat().st_size > 300:
                break
            time.sleep(0.1)
        self.assertTrue(namespace.exists())
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(20), 128 + signal.SIGINT)
        self.assert_nothing_left(process.pid)


class Tables(unittest.TestCase):
    def test_medians_and_ratios(self):
        with tempfile.TemporaryDirectory() as folder:
            results = report.Results(pathlib.Path(folder))
            for library, times in {"paceline": [3, 1, 2], "other": [4, 4, 4], "slow": [9, 9, 9],
                                   "limit-x": [1, 1, 1]}.items():
                for number, value in enumerate(times):
                    results.add({"round": number, "library": library, "collective": "all_reduce",
                                 "bytes": 1 << 20, "latency_us": value, "back_to_back_us": value,
                                 "cpu_s_per_gb": 1.0, "errors": 0, "status": "ok"})
            results.add({"round": 4, "library": "slow", "collective": "all_reduce",
                         "bytes": 1 << 20, "status": "hung"})
            results.close()
        summary = report.Summary(results, ["paceline", "other", "slow", "limit-x"], ["limit-x"])
        line = report.table(summary, "all_reduce", "latency_us")[-1]
        self.assertEqual([cell.strip() for cell in line.strip("|").split("|")],
                         ["1 MiB", "2", "4", "9 (hung)", "1", "other", "0.50", "0.50"])

    def test_near_and_far_cores(self):
        times = {"paceline": {80: 1, 90: 2, 300: 9}, "other": {85: 4, 310: 6, 320: 8}}
        with tempfile.TemporaryDirectory() as folder:
            results = report.Results(pathlib.Path(folder))
            for library, by_line in times.items():
                for number, (line, value) in enumerate(by_line.items()):
                    results.add({"round": number, "library": library, "collective": "all_reduce",
                                 "bytes": 8, "latency_us": value, "back_to_back_us": value,
                                 "cpu_s_per_gb": 1.0, "line_ns": line, "errors": 0,
                                 "status": "ok"})
            results.close()
        summary = report.Summary(results, list(times), [])
        account = report.Account("x", {}, [], [], [])
        text = report.markdown(account, summary, results)
        self.assertIn("from core to core: 80 to 320 ns, 195 in the middle", text)
        near = text.partition("were near each other (at most 140 ns; 50 % of")[2].splitlines()[4]
        far = text.partition("were far from each other (more than 140 ns; 50 % of")[2].splitlines()[4]
        self.assertEqual([cell.strip() for cell in near.strip("|").split("|")],
                         ["8 B", "1.5", "4", "other", "0.38"])
        self.assertEqual([cell.strip() for cell in far.strip("|").split("|")],
                         ["8 B", "9", "7", "other", "1.29"])
        for row in results.rows:
            row["line_ns"] = 100
        self.assertNotIn("near each other", report.markdown(account, summary, results))


def _processes() -> list[str]:
    """Their command lines; of those that have ended, none is left."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            pass
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("--folder", "--wrong", "--stuck"):
        parser.add_argument(name, required=True)
    known, rest = parser.parse_known_args(namespace=paths)
    os.environ.pop("COMPARE_PYTHON_PEERS", None)  # what is here does not depend on who asks
    unittest.main(argv=[sys.argv[0], *rest])
