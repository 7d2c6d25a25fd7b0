"""What passed in one environment is not run again in another by `ci/not_again.py`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = """
import os, pytest

AGAIN = "NOT_AGAIN" in os.environ

@pytest.mark.parametrize("x", ["a::b", "c[d]", "e/f", "\\x00"])
def test_passes(x): ...
def test_fails(): assert AGAIN
def test_is_skipped():
    if not AGAIN: pytest.skip("not there")
@pytest.fixture
def ending():
    yield
    assert AGAIN
def test_fails_at_its_end(ending): ...
"""


@pytest.mark.slow
def test_what_passed_is_not_run_again_but_where_it_depends_on_what_is_installed(tmp_path):
    asks = ("backends/test_two.py", "test_three.py", "network/test_four.py")
    for place in ("network/test_one.py", *asks):
        file = tmp_path / "tests" / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(TESTS + "# find_spec" * place.endswith("test_four.py"))

    def run(*more, **environment):
        inherited = {name: value for name, value in os.environ.items() if name != "NOT_AGAIN"}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-v", "-n", "2", "-p", "no:cacheprovider", *more,
             "--rootdir", tmp_path, "--import-mode", "importlib", "tests"],
            cwd=tmp_path, capture_output=True, text=True, check=False,
            env=inherited | {"PYTHONPATH": str(ROOT)} | environment,
        )  # fmt: skip
        return sorted(re.findall(r"PASSED tests/(.+?)\s*$", done.stdout, re.MULTILINE)), done

    report = str(tmp_path / "report.xml")
    first, done = run(PYTEST_ADDOPTS=f"--junitxml={report}")
    assert len(first) == 4 * 5, done.stdout
    second, done = run("-p", "ci.not_again", NOT_AGAIN=report)
    assert done.returncode == 0, done.stdout
    again = {place: [] for place in ("network/test_one.py", *asks)}
    for name in second:
        again[name.partition("::")[0]].append(name.partition("::")[2])
    assert again.pop("network/test_one.py") == [
        "test_fails", "test_fails_at_its_end", "test_is_skipped"
    ]  # fmt: skip
    assert [len(names) for names in again.values()] == [7] * 3
