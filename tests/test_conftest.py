"""The fixture `backend` itself: an absent backend is missed, said, and never hidden.

Most tests run it in a child process in which JAX cannot be imported.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import pytest_configure

ROOT = Path(__file__).parents[1]
VARIABLE = "PLUGGABLE_MLP_REQUIRE_BACKENDS"
WITHOUT_JAX = """
import sys
sys.modules["jax"] = None
import pytest
here = ["tests/backends/test_transfer.py", "-k", "not_in_the and (numpy or jax:cpu)"]
sys.exit(pytest.main(["-p", "no:cacheprovider", *here]))
"""


def run(require: str) -> subprocess.CompletedProcess[str]:
    """Run the tests with these backends required, or none."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_JAX],
        cwd=ROOT,
        env=os.environ | {VARIABLE: require},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
def test_an_absent_backend_is_left_out_and_listed():
    done = run("")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "absent: jax:cpu: jax is not installed" in done.stdout
    assert " skipped," not in done.stdout
    assert f"required: none ({VARIABLE} is not set: absent ones are skipped)" in done.stdout


@pytest.mark.slow
def test_an_absent_backend_that_is_required_fails():
    done = run("numpy, jax:cpu")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{VARIABLE} requires it, but backend jax is not available" in done.stdout
    assert " 4 errors in " in done.stdout  # one for each of the tests on JAX
    assert "required: numpy, jax:cpu" in done.stdout


@pytest.mark.parametrize("typo", ["jacks", "numpy,tensorflow", "abacus:beads"])
def test_a_required_name_that_no_backend_has_stops_the_suite(typo, monkeypatch):
    monkeypatch.setenv(VARIABLE, typo)
    message = f"{VARIABLE} names {typo.split(',')[-1]}: expected some of"
    with pytest.raises(pytest.UsageError, match=message):
        pytest_configure()
