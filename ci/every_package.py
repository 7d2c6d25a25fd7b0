"""A plug-in of pytest: the absence of a package that tests ask for is a failure.

Where it is not used, `pytest.importorskip` skips them: not every machine has every package.
So is that of `mpiexec`, which they start.
"""

from importlib import import_module
from types import ModuleType

import pytest


def required(name: str, *_: object, **__: object) -> ModuleType:
    """Import a package."""
    return import_module(name)


def pytest_configure() -> None:
    """Take the word `skip` out of `importorskip`."""
    from tests.distributed.processes import find_mpiexec

    pytest.importorskip = required
    if find_mpiexec() is None:
        raise pytest.UsageError("there is no mpiexec, which the tests of processes start")
