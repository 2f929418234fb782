#!/usr/bin/env python3
"""Faults at random: a rank is killed, stopped, loses a connection or its host's cable, or calls
something else. Every rank that can must end with an Error that names the one to blame, in time.

FAULTS is how many (20), SEED which (1); the same seed gives the same faults.
"""

import collections
import os
import random
import re
import signal
import subprocess
import time

import support
from support import ProcessTest, paths, tell

# Times are for programs as they are shipped; sanitized ones take longer to start and to run.
SLOWDOWN = float(os.environ.get("SLOWDOWN", "1"))
HEARTBEAT = 3 * SLOWDOWN
TIMEOUT = 6 * SLOWDOWN
# What a verdict may take after the last deadline: the inquiry (2 s) and the wait for its news (1 s),
# and ranks that share two cores with seven others.
GRACE = 6 * SLOWDOWN
LIMIT = TIMEOUT + GRACE
KINDS = ("kill", "stop", "cut", "unplug", "wrong call")


class Faults(ProcessTest):
    def setUp(self):
        super().setUp()
        self.random = random.Random(int(os.environ.get("SEED", "1")))
        self.hosts = []

    def test_random(self):
        count = int(os.environ.get("FAULTS", "20"))
        hangs, wrong, times = [], [], collections.defaultdict(list)
        for number in range(count):
            kind = KINDS[number % len(KINDS)]
            wire = "tcp" if kind == "unplug" else self.random.choice(("shm", "tcp"))
            size = self.random.randint(2, 8)
            victim = self.random.randrange(size)
            what = f"#{number} {kind}, {wire}, rank {victim} of {size}"
            seconds, blame, text = self.one(kind, wire, size, victim)
            if seconds is None:
                hangs.append(f"{what}: {text}")
            else:
                times[kind].append(seconds)
                if not blame:
                    wrong.append(f"{what}: {text}")
            if (number + 1) % 20 == 0:
                tell(f"{number + 1} of {count}: {len(hangs)} hangs, {len(wrong)} wrong culprits")
        for kind, all_times in times.items():
            all_times.sort()
            tell(f"{kind:10}: {len(all_times)} faults, known to all after "
                 f"{all_times[len(all_times) // 2]:.2f} s (median), {all_times[-1]:.2f} s (slowest)")
        tell(f"{count} faults: {len(hangs)} hangs, {len(wrong)} wrong culprits")
        self.assertEqual((hangs, wrong), ([], []), "\n".join(hangs + wrong))

    def one(self, kind: str, wire: str, size: int, victim: int):
        """Seconds until the last rank knew, whether all blamed the right one, and a text."""
        self.end_processes()
        command = [paths.looper, "--count", self.random.choice((1, 900, 1 << 14, 1 << 19))]
        late = self.random.randint(2, 40)
        if kind == "wrong call":
            command += ["--odd-rank", victim, "--odd-count", 0, "--odd-at", late]
        if kind == "cut":
            command += ["--cut-rank", victim, "--cut-at", late, "--iterations", late + 50]
        inside, variables = (lambda rank: []), {}
        if kind == "unplug":
            inside = self.two_hosts(size)
            variables = {"PACELINE_ROOT": "10.77.1.1:5000", "PACELINE_SECRET": "of these two hosts"}
        begin = time.monotonic()
        ranks = self.start_ranks(size, command, inside=inside, PACELINE_TRANSPORT=wire,
                                 PACELINE_HEARTBEAT_TIMEOUT=HEARTBEAT, PACELINE_TIMEOUT=TIMEOUT,
                                 **variables)
        if kind in ("kill", "stop", "unplug"):
            self.wait_for_text(ranks, "iteration [1-9]", 30)
            time.sleep(self.random.random() / 10)
            begin = time.monotonic()
        if kind == "kill":
            ranks[victim].signal(signal.SIGKILL)
        elif kind == "stop":
            ranks[victim].signal(signal.SIGSTOP)
        elif kind == "unplug":
            self.ip("-n", self.hosts[0], "link", "set", "eth0", "down")
        witnesses = [r for r in ranks if kind not in ("kill", "stop") or r is not ranks[victim]]
        # Those that bring their fault along need their time to meet first.
        end = begin + LIMIT + (20 if kind in ("cut", "wrong call") else 0)
        while None in [r.poll() for r in witnesses]:
            if time.monotonic() > end:
                return None, False, self.said(ranks)
            time.sleep(support.POLL)
        if kind == "stop":
            ranks[victim].signal(signal.SIGCONT)
        seconds = max(r.ended_at for r in witnesses) - begin
        return seconds, self.blamed(kind, size, victim, witnesses), self.said(ranks)

    def blamed(self, kind: str, size: int, victim: int, witnesses: list) -> bool:
        """Whether each ended with an Error that names the right rank. A control link that is cut is
        made again, so that nobody notices; a link for data is not."""
        if kind == "cut" and all(rank.poll() == 0 for rank in witnesses):
            return True
        for rank in witnesses:
            errors = [line for line in rank.output().splitlines() if line.startswith("error ")]
            if rank.poll() != 3 or len(errors) != 1:
                return False
            named = {int(n) for n in re.findall(r"\brank (\d+)", errors[0])}
            if kind == "unplug":  # one on the other side, seen from whoever told
                right = len(named & set(range(size))) > 0 and "mismatch" not in errors[0]
            elif kind == "wrong call":
                right = victim in named and errors[0].startswith("error mismatch")
            else:  # a cut connection has two ends; one of them is the victim
                right = victim in named
            if not right:
                return False
        return True

    # --- two hosts with a cable -------------------------------------------------------------------

    def ip(self, *words: str):
        result = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0, f"ip {' '.join(words)}: {result.stderr}")

    def two_hosts(self, size: int):
        if not self.hosts:
            self.hosts = [f"paceline-faults-{os.getpid()}-{side}" for side in "ab"]
            for host in self.hosts:
                self.ip("netns", "add", host)
                self.addCleanup(self.remove, host)
            one, other = self.hosts
            self.ip("-n", one, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0",
                    "netns", other)
            for host, address in zip(self.hosts, ("10.77.1.1", "10.77.1.2")):
                self.ip("-n", host, "addr", "add", f"{address}/24", "dev", "eth0")
                self.ip("-n", host, "link", "set", "lo", "up")
        for host in self.hosts:
            self.ip("-n", host, "link", "set", "eth0", "up")
        return lambda rank: ["ip", "netns", "exec", self.hosts[rank * 2 // size]]

    def remove(self, host: str):
        self.end_processes()
        self.ip("netns", "del", host)


if __name__ == "__main__":
    support.main()
