"""A plug-in of pytest: files, and the tests of each, in the random order of RANDOM_ORDER."""

import os
from random import Random

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Shuffle the files, and then the tests within each."""
    random = Random(os.environ["RANDOM_ORDER"])  # the same in all processes of pytest-xdist
    places = {path: random.random() for path in sorted({item.path for item in items})}
    random.shuffle(items)
    items.sort(key=lambda item: places[item.path])
