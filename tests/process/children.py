"""The processes that this one has started, and those that they have: none outlives it."""

import ctypes
import os
import pathlib
import signal

PR_SET_PDEATHSIG = 1  # both from linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


def end_with_parent():
    """For Popen's preexec_fn: what kills the parent, ctest for one, must not leave the child."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def adopt():
    """Makes this process the parent of what its children leave behind."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_all():
    """After adopt(), grandchildren whose parents are dead too."""
    while pids := _children():
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass  # somebody else has reaped it


def _children() -> list[int]:
    found = []
    for file in pathlib.Path("/proc/self/task").glob("*/children"):
        found += [int(pid) for pid in file.read_text(encoding="utf-8").split()]
    return found
