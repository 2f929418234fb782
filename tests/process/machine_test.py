#!/usr/bin/env python3
"""Machines and jobs that lack something: the library works by another way, or says in one sentence
what to change."""

import os
import shutil
import subprocess

import support
from support import ProcessTest, free_port, paths, tell

TIMEOUT = 4  # seconds, PACELINE_TIMEOUT
SLACK = 6  # verdicts, leaving, and a machine with more ranks than cores


class Lacking(ProcessTest):
    def loop(self, size: int, *more, expect=0, **variables) -> list:
        variables.setdefault("PACELINE_TIMEOUT", TIMEOUT)
        ranks = self.start_ranks(size, [paths.looper, "--iterations", 3, *more], **variables)
        self.wait_for_end(ranks, TIMEOUT + SLACK)
        for rank in ranks:
            self.assertEqual(rank.poll(), expect, self.said(ranks))
        return ranks

    def one_sentence(self, rank, *patterns):
        errors = [line for line in rank.output().splitlines() if line.startswith("error ")]
        self.assertEqual(len(errors), 1, self.said([rank]))
        for pattern in patterns:
            self.assertRegex(errors[0], pattern)
        tell(f"{rank.name}: {errors[0]}")

    def in_place_of(self, command: str) -> list:
        """Runs what follows behind a shell command, in a mount or network namespace of its own."""
        return ["unshare", "--mount", "--", "sh", "-c", f'{command} && exec "$0" "$@"']


class Jobs(Lacking):
    def test_half_the_ranks(self):
        ranks = [self.start(f"rank {r}", [paths.looper], PACELINE_RANK=r, PACELINE_SIZE=4,
                            PACELINE_ROOT=self.root, PACELINE_TIMEOUT=TIMEOUT) for r in (0, 2)]
        self.wait_for_end(ranks, TIMEOUT + SLACK)
        for rank in ranks:
            self.one_sentence(rank, "^error timeout: ", r"ranks? 1\b.*\b3\b", "PACELINE_TIMEOUT")

    def test_a_short_secret(self):
        for rank in self.loop(2, expect=3, PACELINE_SECRET="short"):
            self.one_sentence(rank, "^error invalid_configuration: ", "PACELINE_SECRET is of 5 bytes",
                              r"allowed: 16\.\.4096 bytes")

    def test_a_host_without_a_name(self):
        rank = self.start("rank 1", [paths.looper], PACELINE_RANK=1, PACELINE_SIZE=2,
                          PACELINE_ROOT="no-such-host.invalid:5000", PACELINE_TIMEOUT=TIMEOUT)
        self.wait_for_end([rank], TIMEOUT + 20)  # the resolver's own time-outs
        self.one_sentence(rank, r"no-such-host\.invalid", "PACELINE_ROOT")

    def test_full_ports(self):
        """One port for two ranks of a host."""
        port = free_port()
        ranks = self.loop(2, expect=3, PACELINE_PORTS=f"{port}-{port}")
        self.one_sentence(ranks[1], f"no port of {port}-{port} is free", "widen PACELINE_PORTS")
        self.one_sentence(ranks[0], "rank 1 of 2 did not arrive")

    def setUp(self):
        super().setUp()
        self.root = f"127.0.0.1:{free_port()}"


class Machines(Lacking):
    def test_few_files(self):
        """`ulimit -n 64` is enough for a few ranks; a soft limit is raised as far as it may be; and
        where that does not help, rank 0 says so."""
        def limited(size: int, limit: str, seconds: int) -> list:
            ranks = self.start_ranks(size, ["sh", "-c", f'ulimit {limit}; exec "$0" "$@"',
                                            paths.looper, "--iterations", 3, "--count", 100],
                                     PACELINE_TIMEOUT=seconds)
            self.wait_for_end(ranks, seconds + SLACK)
            return ranks
        for rank in limited(4, "-n 64", 10) + limited(24, "-S -n 24", 20):
            self.assert_ended(rank, 0, "done")
        ranks = limited(24, "-n 24", 12)  # all have to be there in time to be refused
        self.one_sentence(ranks[0], "^error timeout: ranks .* of 24 did not arrive",
                          "may open no more than 24 files", "ulimit -n")

    def test_no_dev_shm(self):
        command = 'mount -t tmpfs -o size=4k tmpfs /dev/shm && dd if=/dev/zero of=/dev/shm/x bs=4k ' \
                  'count=1 2>/dev/null'
        ranks = self.start_ranks(3, self.in_place_of(command) + [paths.looper, "--iterations", 3],
                                 PACELINE_TRANSPORT="shm", PACELINE_TIMEOUT=TIMEOUT)
        self.wait_for_end(ranks, TIMEOUT + SLACK)
        for rank in ranks:
            self.assert_ended(rank, 0, "done")

    def test_no_reading_of_other_processes(self):
        """Containers forbid process_vm_readv; memory that is not ours is copied instead."""
        forbid = ["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace",
                  "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        ranks = self.start_ranks(3, forbid + [self.copy_for_all(), "--memory", "plain",
                                              "--iterations", 3],
                                 PACELINE_TRANSPORT="shm", PACELINE_TIMEOUT=TIMEOUT)
        self.wait_for_end(ranks, TIMEOUT + SLACK)
        for rank in ranks:
            self.assert_ended(rank, 0, "done")

    def copy_for_all(self) -> str:
        """The program, where anybody may run it."""
        place = os.path.join(self.folder, "looper")
        shutil.copy(paths.looper, place)
        os.chmod(place, 0o755)
        os.chmod(self.folder, 0o755)
        return place

    def test_only_ipv6(self):
        name = f"paceline-v6-{os.getpid()}"
        subprocess.run(["ip", "netns", "add", name], check=True)
        self.addCleanup(subprocess.run, ["ip", "netns", "del", name], check=True)
        self.addCleanup(self.end_processes)
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        subprocess.run(["ip", "-n", name, "addr", "del", "127.0.0.1/8", "dev", "lo"], check=True)
        ranks = self.start_ranks(3, ["ip", "netns", "exec", name, paths.looper, "--iterations", 3],
                                 PACELINE_ROOT="[::1]:5000", PACELINE_TRANSPORT="tcp",
                                 PACELINE_TIMEOUT=TIMEOUT)
        self.wait_for_end(ranks, TIMEOUT + SLACK)
        for rank in ranks:
            self.assert_ended(rank, 0, "done")


if __name__ == "__main__":
    support.main()
