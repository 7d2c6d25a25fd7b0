"""Packages of the authors of networks for tables: oracles where they are installed."""

import importlib
import sys
from importlib.metadata import PackageNotFoundError, distribution
from types import ModuleType

import pytest

__all__ = ["import_published", "import_pytabkit", "published_folder"]


def published_folder(name):
    """Return the folder of a package; skip the test where it is not installed.

    `pytest.importorskip` would ask for it where every package is required: no extra lists these.
    """
    try:
        return distribution(name).locate_file(name)
    except PackageNotFoundError:
        pytest.skip(f"{name} is not installed")


def import_published(name):
    """Return a package of the authors."""
    published_folder(name)
    return importlib.import_module(name)


def import_pytabkit(monkeypatch):
    """Return a function that imports its modules, without its __init__: that needs Lightning."""
    folder = published_folder("pytabkit")
    package = ModuleType("pytabkit")
    package.__path__ = [str(folder)]
    monkeypatch.setitem(sys.modules, "pytabkit", package)
    return lambda name: importlib.import_module(f"pytabkit.models.{name}")
