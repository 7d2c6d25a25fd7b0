"""A plug-in of pytest: what passed before is not run again, where more libraries are installed now.

`NOT_AGAIN` names the report of the run before, in JUnit's XML.  Tests run again if they did not
pass there, as those that were skipped for want of a library; and if they ask what is installed:
those of the backends, those beside the folders of `tests/`, and files with one of the words `ASK`.
"""

import os
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

ASK = re.compile("all_backends|available_backends|find_spec")


def passed() -> set[tuple[str, str]]:
    """Return the module and the name of each test that passed."""
    cases = ElementTree.parse(os.environ["NOT_AGAIN"]).iter("testcase")
    return {(case.attrib["classname"], case.attrib["name"]) for case in cases if not len(case)}


def reported(nodeid: str) -> tuple[str, str]:
    """Return what the report calls a test."""
    path, _, name = nodeid.partition("::")
    return path.removesuffix(".py").replace("/", "."), name


def asks(path: Path) -> bool:
    """Return whether the tests of a file ask what is installed."""
    return path.parent.name in ("tests", "backends") or bool(ASK.search(path.read_text("utf-8")))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what passed."""
    before = passed()
    files = {path for path in {item.path for item in items} if not asks(path)}
    left_out = {item for item in items if item.path in files and reported(item.nodeid) in before}
    config.hook.pytest_deselected(items=[*left_out])
    items[:] = [item for item in items if item not in left_out]
