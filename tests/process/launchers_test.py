#!/usr/bin/env python3
"""Who starts the ranks, and which wire they are allowed: all_reduce_perf says what it found."""

import os
import pathlib

import support
from support import ProcessTest, free_port, paths, tell

SIZES = ["-b", "8", "-e", "64K", "-f", "8"]
ENOUGH = 25  # seconds for a run that takes one or two


class Perf(ProcessTest):
    def assert_table(self, root, ranks: int, wires: str):
        """The table of `root`, the process that speaks for the job."""
        self.assert_ended(root, 0, rf"# ranks +{ranks} on 1 host\n", rf"# wires +{wires}\n",
                          r"\n +8 +2 +float32 ", r"\n +32768 +8192 +float32 ",
                          r"# Out of bounds values : 0 OK\n")
        for line in root.output().splitlines():
            if line.startswith(("# ranks", "# wires", "# Out")):
                tell(line)

    def run_by_hand(self, ranks: int, **variables) -> list:
        processes = self.start_ranks(ranks, [paths.perf, *SIZES], **variables)
        self.wait_for_end(processes, ENOUGH)
        return processes


class Launchers(Perf):
    def test_mpirun(self):
        job = self.start("mpirun", [paths.mpirun, "--allow-run-as-root", "--oversubscribe",
                                    "-n", 4, paths.perf, *SIZES])
        self.wait_for_end([job], ENOUGH)
        self.assert_table(job, 4, "shm 6 pairs")

    def test_torchrun(self):
        """Its variables, as torchrun sets them for processes of one node."""
        port = free_port()
        processes = [
            self.start(f"rank {rank}", [paths.perf, *SIZES], RANK=rank, LOCAL_RANK=rank,
                       WORLD_SIZE=3, LOCAL_WORLD_SIZE=3, MASTER_ADDR="127.0.0.1", MASTER_PORT=port,
                       TORCHELASTIC_RUN_ID="none", TORCHELASTIC_USE_AGENT_STORE="True")
            for rank in range(3)]
        self.wait_for_end(processes, ENOUGH)
        self.assert_table(processes[0], 3, "shm 3 pairs")
        for process in processes[1:]:
            self.assert_ended(process, 0)

    def test_by_hand(self):
        processes = self.run_by_hand(3)
        self.assert_table(processes[0], 3, "shm 3 pairs")
        for process in processes[1:]:
            self.assert_ended(process, 0)
            self.assertEqual(process.output(), "")  # rank 0 speaks for all


class Transports(Perf):
    def test_shm(self):
        self.assert_table(self.run_by_hand(3, PACELINE_TRANSPORT="shm")[0], 3, "shm 3 pairs")

    def test_tcp(self):
        self.assert_table(self.run_by_hand(3, PACELINE_TRANSPORT="tcp")[0], 3, "tcp 3 pairs")

    def test_verbs_without_a_device(self):
        """Where the machine has RDMA devices, one is asked for that it does not have."""
        variables = {"PACELINE_TRANSPORT": "verbs", "PACELINE_TIMEOUT": 10}
        devices = pathlib.Path("/sys/class/infiniband")
        if devices.is_dir() and os.listdir(devices):
            variables["PACELINE_IB_DEVICE"] = "no_such_device"
        for process in self.run_by_hand(2, **variables):
            text = self.assert_one_sentence(process, 2, "verbs", "(?i)device|libibverbs",
                                            "PACELINE_TRANSPORT")
            tell(text)


if __name__ == "__main__":
    support.main()
