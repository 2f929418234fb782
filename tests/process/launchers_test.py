#!/usr/bin/env python3
"""Who starts the ranks, and which wire they are allowed: all_reduce_perf says what it found."""

import os
import pathlib

import slurm
import support
from support import ProcessTest, free_port, paths, tell

SIZES = ["-b", "8", "-e", "64K", "-f", "8"]
ENOUGH = 25  # seconds for a run that takes one or two
MPICH = "mpirun.mpich"  # mpirun itself is Open MPI's
MPICH_LIBRARY = "libmpich.so.12"
OPEN_MPI_LIBRARY = "libmpi.so.40"


def open_mpi() -> list:
    """It refuses to work for root, and to start more ranks than there are cores, unless told to."""
    return [paths.mpirun, "--allow-run-as-root", "--oversubscribe"]


class Perf(ProcessTest):
    def assert_table(self, root, ranks: int, wires: str, launcher: str = ""):
        """The table of `root`, the process that speaks for the job."""
        self.assert_ended(root, 0, rf"# ranks +{ranks} on 1 host\n", rf"# wires +{wires}\n",
                          rf"# launcher +{launcher}", r"\n +8 +2 +float32 ",
                          r"\n +32768 +8192 +float32 ", r"# Out of bounds values : 0 OK\n")
        for line in root.output().splitlines():
            if line.startswith(("# ranks", "# launcher", "# wires", "# Out")):
                tell(line)

    def run_job(self, command: list, **variables):
        job = self.start("job", [*command, paths.perf, *SIZES], **variables)
        self.wait_for_end([job], ENOUGH)
        return job

    def run_by_hand(self, ranks: int, **variables) -> list:
        processes = self.start_ranks(ranks, [paths.perf, *SIZES], **variables)
        self.wait_for_end(processes, ENOUGH)
        return processes


class Launchers(Perf):
    def test_mpirun(self):
        job = self.run_job([*open_mpi(), "-n", 4])
        self.assert_table(job, 4, "shm 6 pairs", "open_mpi, ranks met through pmix\n")

    def test_mpich(self):
        job = self.run_job([MPICH, "-n", 3])
        self.assert_table(job, 3, "shm 3 pairs", r"mpich, ranks met through pmi:fd=\d+\n")

    def test_mpich_through_a_port(self):
        job = self.run_job([MPICH, "-pmi-port", "-n", 3])
        self.assert_table(job, 3, "shm 3 pairs",
                          r"mpich, ranks met through pmi:port=\S+:\d+,id=0\n")

    def test_two_communicators_of_one_name(self):
        """One after the other, through PMI-1 and through PMIx."""
        for launcher in ([MPICH], [MPICH, "-pmi-port"], open_mpi()):
            job = self.start("twice", [*launcher, "-n", 3, paths.twice])
            self.wait_for_end([job], ENOUGH)
            self.assert_ended(job, 0, *(f"rank {rank} of 3: ready again\n" for rank in range(3)))

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


class BadLaunchers(Perf):
    """What the environment says is half of the truth, or none of it."""

    def refuse(self, *patterns: str, **variables):
        rank = self.run_job([], PACELINE_TIMEOUT=5, **variables)
        tell(self.assert_one_sentence(rank, 2, *patterns))

    def test_variables_that_lie(self):
        self.refuse("PMI_RANK is 5 and PMI_SIZE is 4", r"0\.\.3",
                    PMI_RANK=5, PMI_SIZE=4, PMI_FD=8)
        self.refuse("PMI_FD", "none is open there", "PACELINE_ROOT",
                    PMI_RANK=1, PMI_SIZE=4, PMI_FD=987)
        self.refuse(r"PMI_PORT=127\.0\.0\.1:1", "Connection refused",
                    PMI_ID=1, PMI_PORT="127.0.0.1:1")
        self.refuse("PMIX_NAMESPACE", "PACELINE_ROOT",
                    OMPI_COMM_WORLD_RANK=0, OMPI_COMM_WORLD_SIZE=2)

    def test_a_size_that_is_not_the_launchers(self):
        """The channel knows better than a variable that somebody changed."""
        job = self.run_job([*open_mpi(), "-n", 2, "env", "OMPI_COMM_WORLD_SIZE=3"])
        self.assertNotEqual(job.poll(), 0)
        self.assertRegex(job.output(), r"rank \d: the launcher says this is rank \d of 2, the "
                                       r"configuration says \d of 3")

    def test_srun_without_a_channel_needs_a_secret(self):
        """Between hosts; 192.0.2.1 is kept for documentation, and is nobody's."""
        self.refuse(r"192\.0\.2\.1:24062 is not a loopback", "PACELINE_SECRET", "--mpi=pmix",
                    SLURM_JOB_ID=1, SLURM_STEP_ID=1, SLURM_PROCID=1, SLURM_STEP_NUM_TASKS=2,
                    SLURM_STEP_NUM_NODES=2, SLURM_STEP_NODELIST="192.0.2.[1-2]")


class MpiFirst(ProcessTest):
    """Programs that have called MPI_Init before."""

    def run_program(self, launcher: list, library: str, *arguments) -> str:
        # libmpich and Open MPI's libpmix leave memory behind, which a program built with the address
        # sanitizer would be ended for. UCX, below MPICH, hooks madvise, also in threads that the
        # thread sanitizer has given up already.
        job = self.start("job", [*launcher, "-n", 2, paths.mpi_first, library, *arguments],
                         ASAN_OPTIONS="detect_leaks=0", UCX_MEM_EVENTS="n")
        self.wait_for_end([job], ENOUGH)
        self.assert_ended(job, 0)
        return job.output()

    def test_pmi_belongs_to_mpi(self):
        output = self.run_program([MPICH], MPICH_LIBRARY)
        for rank in range(2):
            self.assertRegex(output, f"rank {rank}: this program has called MPI_Init.*Store.*"
                                     "PACELINE_ROOT=host:port\n")
        tell(output)

    def test_a_store_does_without_pmi(self):
        output = self.run_program([MPICH], MPICH_LIBRARY, f"{self.folder}/store")
        for rank in range(2):
            self.assertRegex(output, f"rank {rank}: the sum is 2\n")

    def test_pmix_is_shared(self):
        output = self.run_program(open_mpi(), OPEN_MPI_LIBRARY)
        for rank in range(2):
            self.assertRegex(output, f"rank {rank}: the sum is 2\n")


class Slurm(Perf):
    """A real one, of this test."""

    def setUp(self):
        super().setUp()
        self.slurm = slurm.Slurm(self)

    def run_step(self, *command):
        return self.run_job(command, **self.slurm.variables)

    def test_pmix(self):
        job = self.run_step("srun", "--mpi=pmix", "-n", 3)
        self.assert_table(job, 3, "shm 3 pairs", "slurm, ranks met through pmix\n")

    def test_pmi2(self):
        job = self.run_step("srun", "--mpi=pmi2", "-n", 3)
        self.assert_table(job, 3, "shm 3 pairs", r"slurm, ranks met through pmi:fd=\d+\n")

    def test_none(self):
        """Twice: each job has a port of its own."""
        for _ in range(2):
            job = self.run_step("srun", "--mpi=none", "-n", 3)
            self.assert_table(job, 3, "shm 3 pairs", r"slurm, ranks met at 127\.0\.0\.1:2\d+\n")

    def test_what_runs_inside(self):
        """A batch script is one rank, and mpirun's ranks are mpirun's."""
        output = f"{self.folder}/batch.txt"
        program = " ".join([str(paths.perf), *SIZES])
        job = self.slurm.run("sbatch", ["sbatch", "--wait", "-n", 2, f"--output={output}",
                                        f"--wrap={program}"])
        self.wait_for_end([job], ENOUGH)
        self.assert_ended(job, 0)
        with open(output, encoding="utf-8") as file:
            self.assertRegex(file.read(), r"# ranks +1 on 1 host\n# launcher +none\n")
        job = self.run_step("salloc", "-n", 2, MPICH, "-n", 3)
        self.assert_table(job, 3, "shm 3 pairs", "mpich, ")
        job = self.run_step("salloc", "-n", 3, *open_mpi(), "-n", 3)
        self.assert_table(job, 3, "shm 3 pairs", "open_mpi, ")


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
    support.main("twice", "mpi_first")
