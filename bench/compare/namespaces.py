"""Two hosts out of one machine: network namespaces joined by a cable, gone again afterwards."""

import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "process"))
from two_hosts import ADDRESSES, TwoHosts, ip  # noqa: E402

NETWORK = "10.77.0.0/24"
DEVICE = "eth0"
NAMES = re.compile(r"paceline-(\d+)-[ab]")


def available_congestion() -> list[str]:
    return _read("tcp_available_congestion_control").split()


class Cable(TwoHosts):
    """`congestion` is the control that TCP uses on it; the machine's own if it is None."""

    addresses = ADDRESSES

    def __init__(self, congestion: str | None):
        super().__init__()
        self._congestion = congestion

    def __enter__(self):
        remove_abandoned()
        super().__enter__()
        try:
            # By the route, which every connection over the cable asks, and not for the namespace,
            # which some kernels do not let be changed.
            for name, address in zip(self.names, ADDRESSES):
                if self._congestion is not None:
                    ip("-n", name, "route", "replace", NETWORK, "dev", DEVICE, "src", address,
                       "congctl", self._congestion)
        except BaseException:
            self.__exit__()
            raise
        return self

    def congestion(self) -> str:
        return self._congestion or _read("tcp_congestion_control")

    def inside_by_name(self, host: int) -> list[str]:
        """As inside(), and under a host name of its own: that is how MPI tells hosts apart."""
        return self.inside(host) + ["unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"',
                                    self.names[host]]


def _read(name: str) -> str:
    return pathlib.Path("/proc/sys/net/ipv4", name).read_text(encoding="utf-8").strip()


def remove_abandoned():
    """The namespaces of a run that was killed before it could remove them."""
    folder = pathlib.Path("/run/netns")
    for path in folder.iterdir() if folder.is_dir() else []:
        match = NAMES.fullmatch(path.name)
        if match and not os.path.exists(f"/proc/{match[1]}"):
            subprocess.run(["ip", "netns", "del", path.name], check=False, capture_output=True)
