"""Two hosts made of two network namespaces and a cable between them. Needs root."""

import os
import pathlib
import subprocess

ADDRESSES = ("10.77.0.1", "10.77.0.2")
ROOT = f"{ADDRESSES[0]}:5000"  # nobody else is in the namespace


def ip(*words: str):
    _run("ip", *words)


def _run(*words: str) -> str:
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {result.stderr}")
    return result.stdout


class TwoHosts:
    """The namespaces are there inside of `with`; what still runs in them must be ended first."""

    def __init__(self):
        self.names = [f"paceline-{os.getpid()}-{side}" for side in "ab"]

    def __enter__(self):
        if os.geteuid() != 0:
            raise PermissionError("network namespaces need root")
        try:
            for name in self.names:
                ip("netns", "add", name)
            one, other = self.names
            ip("-n", one, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns",
               other)
            for name, address in zip(self.names, ADDRESSES):
                ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
                ip("-n", name, "link", "set", "lo", "up")
                ip("-n", name, "link", "set", "eth0", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in self.names:
            if pathlib.Path("/run/netns", name).exists():
                ip("netns", "del", name)

    def inside(self, host: int) -> list:
        """What to put before a command that shall run on a host, 0 or 1."""
        return ["ip", "netns", "exec", self.names[host]]

    def slow_down(self, rate: str):
        """Lets the cable carry so much in each direction: "1gbit"."""
        for name in self.names:
            # As much at once as a few of the kernel's largest packets, and a queue of 20 ms.
            _run("tc", "-n", name, "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", rate,
                 "burst", "256kb", "latency", "20ms")

    def sent(self, host: int) -> int:
        """Bytes that have left a host over the cable, headers included."""
        return int(_run(*self.inside(host), "cat", "/sys/class/net/eth0/statistics/tx_bytes"))
