"""Starting ranks: none of them outlives its test."""

import os
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "process"))

import children  # noqa: E402
import support  # noqa: E402

# Seconds for ranks that take ten: beyond what they give themselves (ranks/__main__.py).
PATIENCE = 300


class Jobs(support.ProcessTest):
    """The processes of one test, by what the tests with processes use."""

    def runTest(self):  # unittest wants one
        pass

    def environment(self, **more):
        given = {"PYTHONPATH": f"{os.environ['PYTHONPATH']}:{HERE}", "PYTHONDONTWRITEBYTECODE": 1,
                 "PYTHONUNBUFFERED": 1, "OMP_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1,
                 "PACELINE_TIMEOUT": 60}
        return given | more

    @staticmethod
    def ranks_command(*arguments):
        return [sys.executable, "-m", "ranks", *arguments]

    def mpirun(self, size, *arguments, patience=PATIENCE, **variables):
        """Runs `python -m ranks ARGUMENTS` on so many ranks, all of which must end well."""
        job = self.start("mpirun", ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", size,
                                    *self.ranks_command(*arguments)], **self.environment(**variables))
        self.wait_for_end([job], patience)
        assert job.poll() == 0, self.said([job])
        return job.output()

    def by_hand(self, size, *arguments, **variables):
        """The same without a launcher, so that single ranks can end as they like."""
        return self.start_ranks(size, self.ranks_command(*arguments), **self.environment(**variables))

    def program(self, *command, patience=PATIENCE, **variables):
        """Runs any program to a good end, and gives its output."""
        process = self.start(f"program {len(self.processes)}", list(command),
                             **self.environment(**variables))
        self.wait_for_end([process], patience)
        assert process.poll() == 0, self.said([process])
        return process.output()


@pytest.fixture(scope="session", autouse=True)
def adopted():
    """What ranks leave behind becomes ours, to be ended."""
    children.adopt()


@pytest.fixture
def jobs():
    jobs = Jobs()
    jobs.setUp()
    yield jobs
    jobs.doCleanups()
