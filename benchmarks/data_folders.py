"""The folders of real data that the environment variable PLUGGABLE_MLP_DATA names."""

import os
import sys
from pathlib import Path

__all__ = ["data_folders", "table_file"]

_VARIABLE = "PLUGGABLE_MLP_DATA"


def data_folders() -> list[Path]:
    """Return the folders, of which there may be none."""
    return [Path(place) for place in os.environ.get(_VARIABLE, "").split(os.pathsep) if place]


def table_file(name: str) -> Path:
    """Return the file of a table; end with exit status 2 where it is in none of the folders."""
    file = Path("tables", f"{name}.csv.gz")
    places = [folder / file for folder in data_folders()]
    found = next(filter(Path.is_file, places), None)
    if found is None:
        fault = f"{' or '.join(map(str, places))} is not there; set {_VARIABLE}"
        if not places:
            fault = f"{_VARIABLE} is not set; set it"
        print(f"{fault} to a folder with {file.as_posix()}", file=sys.stderr)
        sys.exit(2)
    return found
