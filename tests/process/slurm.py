"""A Slurm of this user on this machine, with a configuration, ports and keys of its own in the
folder of a test, and gone with it."""

import getpass
import os
import pathlib
import shutil
import socket

from support import free_port

# Loopback, one node, four processors whatever the machine has; nothing that needs control groups,
# since not every machine that tests may make any.
CONFIGURATION = """\
ClusterName=paceline
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
TmpFS={folder}/tmp
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP MaxTime=INFINITE
"""

START = 20  # seconds; it takes about two


def _daemon(name: str) -> str:
    """Daemons lie where only root's PATH leads."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        raise FileNotFoundError(f"{name} is not installed: run tools/install-packages --test")
    return path


class Slurm:
    """Its daemons are processes of the test."""

    def __init__(self, test):
        self.test = test
        self.folder = pathlib.Path(test.folder) / "slurm"
        for part in ("state", "spool", "munge", "tmp"):
            (self.folder / part).mkdir(parents=True)
        self.folder.chmod(0o755)  # Munge wants its socket to be reachable, and its key not to be
        (self.folder / "munge").chmod(0o700)
        host = socket.gethostname().split(".")[0]
        configuration = self.folder / "slurm.conf"
        configuration.write_text(CONFIGURATION.format(
            host=host, user=getpass.getuser(), folder=self.folder,
            controller_port=free_port(), node_port=free_port()))
        self.variables = {"SLURM_CONF": configuration}
        self._start_munge()
        test.start("slurmctld", [_daemon("slurmctld"), "-D"], **self.variables)
        test.start("slurmd", [_daemon("slurmd"), "-D", "-N", host], **self.variables)
        self._wait_until_idle()

    def _start_munge(self):
        key = self.folder / "munge" / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        self.test.start("munged", [
            _daemon("munged"), "--foreground", "--force", "--num-threads=1",
            f"--socket={self.folder}/munge.socket", f"--key-file={key}",
            f"--pid-file={self.folder}/munge/pid", f"--log-file={self.folder}/munge/log",
            f"--seed-file={self.folder}/munge/seed"])
        self.test.wait_until((self.folder / "munge.socket").exists, START, "munged listens")

    def _wait_until_idle(self):
        """sinfo fails until the controller listens; the node is idle once it has registered."""
        def idle() -> bool:
            look = self.test.start("sinfo", ["sinfo", "--noheader", "--format=%T"],
                                   **self.variables)
            self.test.wait_for_end([look], START)
            return look.output().strip() == "idle"
        self.test.wait_until(idle, START, "Slurm's node is idle")

    def run(self, name: str, command: list, **variables):
        """Starts one of Slurm's commands, or a program that calls them."""
        return self.test.start(name, command, **self.variables, **variables)
