"""What packages of the authors of networks for tables make of the cases in the tests, recorded.

Where the packages are installed, the recording is compared with them, and with
PLUGGABLE_MLP_RECORD_PUBLISHED=1 made anew: `pip install pytabkit tabm rtdl_num_embeddings`, then
run the tests that import this file.
"""

import importlib
import json
import os
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import ModuleType

import numpy as np

RECORDING = Path(__file__).with_name("published.json")
FEW = 32


def recorded(case, package, compute):
    """Return what a package makes of a case: `compute()`, a dict of `summary`, as recorded."""
    records = json.loads(RECORDING.read_text("utf-8")) if RECORDING.exists() else {}
    if is_installed(package):
        found = compute()
        if os.environ.get("PLUGGABLE_MLP_RECORD_PUBLISHED"):
            records[case] = found
            RECORDING.write_text(json.dumps(records, indent=0, sort_keys=True) + "\n", "utf-8")
        tolerance = 1e-5 if "float32" in case else 1e-9
        for name, values in records[case].items():
            np.testing.assert_allclose(found[name], values, tolerance, tolerance, err_msg=name)
    return records[case]


def summary(array):
    """Return the numbers of an array; of a large one their means with three sets of weights."""
    flat = np.asarray(array, np.float64).ravel()
    if flat.size <= FEW:
        return flat.tolist()
    places = np.arange(flat.size)
    return [float(np.mean(flat * np.cos(k * places))) for k in (0.0, 0.7, 1.9)]


def is_installed(package):
    """Return whether a package of the authors is here."""
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


def import_pytabkit(monkeypatch):
    """Return a function that imports its modules, without its __init__: that needs Lightning."""
    package = ModuleType("pytabkit")
    package.__path__ = [str(distribution("pytabkit").locate_file("pytabkit"))]
    monkeypatch.setitem(sys.modules, "pytabkit", package)
    return lambda name: importlib.import_module(f"pytabkit.models.{name}")
