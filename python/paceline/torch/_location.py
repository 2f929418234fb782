"""Where the library lies that the backend is compiled against."""

import pathlib
from dataclasses import dataclass

import paceline


@dataclass(frozen=True)
class Location:
    """Of one installed Paceline."""

    include: pathlib.Path  # holds paceline/paceline.hpp
    libraries: pathlib.Path  # holds libpaceline.so.0


def location() -> Location:
    """Of the package that this one is part of."""
    return Location(pathlib.Path(paceline.get_include()), pathlib.Path(paceline.get_library_dir()))
