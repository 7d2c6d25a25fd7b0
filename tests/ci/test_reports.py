"""Runs of pytest whose reports ci/reports.py reads, and the suite without optional packages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

TESTS = """
import os, pytest
def test_here(): pytest.importorskip(os.environ["HERE"], reason="no such package")
def test_nowhere(): pytest.skip("never")
def test_with_a_card(): pytest.skip("there is a GPU here")
def test_always(): ...
"""


def run(command, folder=ROOT, **environment):
    environment = os.environ | environment
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_what_ran_nowhere_is_named(tmp_path, monkeypatch):
    tests = tmp_path / "tests"
    tests.mkdir()
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
    (tests / "test_some.py").write_text(TESTS)
    (tests / "test_module.py").write_text(
        "import os, pytest\npytest.importorskip(os.environ['HERE'], reason='no such package')\n"
        "def test_within(): ...\n"
    )
    reports = tmp_path / "reports"
    asked = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "xdist.plugin", "-n", "1"]
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for name, package in {"plain": "no_such", "full": "json"}.items():
        report = reports / f"{name}.xml"
        run([*asked, f"--junitxml={report}", "tests"], tmp_path, HERE=package, PYTHONPATH=str(ROOT))
    done = run([ROOT / "ci/reports.py", reports], tmp_path)
    nowhere = "tests.test_some.test_nowhere ran nowhere: never\n"
    assert (done.returncode, done.stdout) == (1, nowhere)
    (reports / "full.xml").rename(tmp_path / "full.xml")
    done = run([ROOT / "ci/reports.py", reports], tmp_path)
    assert done.returncode == 1
    assert [line.partition(" ")[0] for line in sorted(done.stdout.splitlines())] == [
        "tests.test_module",
        "tests.test_some.test_here",
        "tests.test_some.test_nowhere",
    ]
