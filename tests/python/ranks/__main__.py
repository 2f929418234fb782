"""One rank of a test:   python -m ranks MODULE FUNCTION ARGUMENT...

Makes the communicator and calls ranks.MODULE.FUNCTION(comm, *arguments); all the asserting is done
there. FUNCTION may be "all": every function of the module whose name begins with "check_"."""

import faulthandler
import importlib
import sys

import paceline

# Seconds that a rank may take before it says where it hangs, and ends: it takes ten, and many times
# that where four ranks share a core with other work. Below the patience of the tests (conftest.py).
LONGEST = 280


def main() -> None:
    faulthandler.dump_traceback_later(LONGEST, exit=True)
    module = importlib.import_module(f"ranks.{sys.argv[1]}")
    names = [n for n in dir(module) if n.startswith("check_")]
    if sys.argv[2] != "all":
        names = [sys.argv[2]]
    if hasattr(module, "BY_ITSELF"):  # it makes its communicators itself
        for name in names:
            getattr(module, name)(*sys.argv[3:])
            print(f"{name} ok", flush=True)
        return
    with paceline.init() as comm:
        for name in names:
            getattr(module, name)(comm, *sys.argv[3:])
            print(f"rank {comm.rank}: {name} ok", flush=True)


main()
