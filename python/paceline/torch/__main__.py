"""python -m paceline.torch build: compiles the backend before it is needed."""

import argparse
import sys

from . import build


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m paceline.torch",
                                     description="The torch.distributed backend of Paceline.")
    parser.add_argument("command", choices=["build"],
                        help="compile the backend for the torch that is installed, unless that has "
                             "been done, and print the file that it is in")
    parser.parse_args()
    print(build.ensure())
    return 0


if __name__ == "__main__":
    sys.exit(main())
