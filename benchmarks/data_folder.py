"""The folder of real data that the environment variable PLUGGABLE_MLP_DATA names."""

import os
import sys
from pathlib import Path

__all__ = ["data_folder", "table_file"]

_VARIABLE = "PLUGGABLE_MLP_DATA"


def data_folder() -> Path | None:
    """Return the folder; None if the variable is not set."""
    place = os.environ.get(_VARIABLE)
    return Path(place) if place else None


def table_file(name: str) -> Path:
    """Return the file of a table; end with exit status 2 if it is not in the folder."""
    file, folder = Path("tables", f"{name}.csv.gz"), data_folder()
    if folder is not None and (folder / file).is_file():
        return folder / file
    fault = f"{_VARIABLE} is not set; set it"
    if folder is not None:
        fault = f"{folder / file} is not there; set {_VARIABLE}"
    print(f"{fault} to a folder with {file.as_posix()}", file=sys.stderr)
    sys.exit(2)
