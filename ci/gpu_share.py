"""A plug-in of pytest: of the tests that were selected, run those of one share.

`GPU_SHARE=2/8` is the third of eight shares.  Neighbours go to different shares, so that the slow
tests of a file do, too.
"""

import os

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep every eighth test, or the like."""
    share, count = map(int, os.environ["GPU_SHARE"].split("/"))
    config.hook.pytest_deselected(items=[x for i, x in enumerate(items) if i % count != share])
    items[:] = items[share::count]
