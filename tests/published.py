"""Packages of the authors of networks for tables: oracles where they are installed."""

import importlib
import sys
from importlib.metadata import PackageNotFoundError, distribution
from types import ModuleType

import pytest

__all__ = ["import_pytabkit"]


def import_pytabkit(monkeypatch):
    """Return a function that imports a module of it: without its __init__, which needs Lightning.

    The test is skipped where it is not installed.
    """
    try:
        folder = distribution("pytabkit").locate_file("pytabkit")
    except PackageNotFoundError:
        pytest.skip("pytabkit is not installed")
    package = ModuleType("pytabkit")
    package.__path__ = [str(folder)]
    monkeypatch.setitem(sys.modules, "pytabkit", package)
    return lambda name: importlib.import_module(f"pytabkit.models.{name}")
