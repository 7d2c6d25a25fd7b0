"""scikit-learn on the reproducible namespace: what the page says runs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / "tests/namespaces/scikit_learn.py"
PAGE = ROOT / "docs/reference/reproducible-namespace.md"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def libraries() -> None:
    pytest.importorskip("sklearn", "1.9", reason="older estimators lack array API support")
    pytest.importorskip("torch", reason="NumPy is compared with PyTorch")


def printed(program: Path) -> str:
    """Return what a program prints that runs in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", program],
        env=os.environ | {"SCIPY_ARRAY_API": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout


def test_what_the_page_lists_gives_the_same_bits_on_two_libraries() -> None:
    same, none = set(), set()
    for name, (one, other) in json.loads(printed(PROGRAMS)).items():
        assert one == other, name
        (none if one.endswith("Error") else same).add(name.split()[0])
    section = PAGE.read_text("utf-8").split("## Other code that runs on it")[1].split("\n## ")[0]
    runs, _, fails = section.partition("These raise an error")
    rows = re.findall(r"^\|.*\|$", runs, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", "".join(rows))) <= same
    # A row names all, or says how many there are of each kind.
    counts = [[*map(int, re.findall(r"\b\d+\b", row))] or [row.count("`") // 2] for row in rows]
    assert sum(map(sum, counts)) == len(same)
    assert none <= set(re.findall(r"`(\w+)`", fails))
