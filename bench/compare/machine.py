"""What is measured on: cores, memory, kernel, and how busy all of it is."""

import os
import pathlib
import platform
import shutil
import tempfile
import time

PREFIX = "paceline-compare-"


def allowed_cpus() -> list[int]:
    """Those this process may use, each core's first thread before any second one."""
    mine = sorted(os.sched_getaffinity(0))

    def place(cpu: int) -> tuple[int, int]:
        siblings = _read(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        threads = [c for c in _numbers(siblings) if c in mine] or [cpu]
        return threads.index(cpu) if cpu in threads else 0, cpu

    return sorted(mine, key=place)


def facts() -> dict[str, str]:
    model = [line.split(":", 1)[1].strip() for line in _read("/proc/cpuinfo").splitlines()
             if line.startswith("model name")]
    memory = [line.split()[1] for line in _read("/proc/meminfo").splitlines()
              if line.startswith("MemTotal")]
    return {
        "date": time.strftime("%Y-%m-%d %H:%M %Z"),
        "cores": f"{len(allowed_cpus())} ({model[0] if model else platform.machine()})",
        "memory": f"{int(memory[0]) // (1 << 20)} GiB" if memory else "unknown",
        "system": f"{platform.system()} {platform.release()}",
        "load before": f"{os.getloadavg()[0]:.2f} processes on average in the last minute",
    }


def busy() -> bool:
    """Whether others use so much of the machine that figures would be theirs as well."""
    return os.getloadavg()[0] > 0.25 * len(allowed_cpus())


def folder_in_memory(bytes_needed: int) -> pathlib.Path:
    """A new folder for files that processes share; on a disk where there is no room in memory."""
    prefix = f"{PREFIX}{os.getpid()}-"
    place = "/dev/shm"
    fits = os.path.isdir(place) and shutil.disk_usage(place).free > 2 * bytes_needed
    return pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=place if fits else None))


def remove_abandoned_folders():
    """Those of a run that was killed before it could remove them."""
    for place in {"/dev/shm", tempfile.gettempdir()}:
        for path in pathlib.Path(place).glob(f"{PREFIX}[0-9]*-*"):
            if not os.path.exists(f"/proc/{path.name.removeprefix(PREFIX).split('-')[0]}"):
                shutil.rmtree(path, ignore_errors=True)


def _read(path: str) -> str:
    try:
        return pathlib.Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def _numbers(text: str) -> list[int]:
    """The numbers of "0-3,8"."""
    numbers = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            numbers += range(int(first), int(last or first) + 1)
    return numbers
