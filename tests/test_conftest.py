"""The fixture `backend` itself: an absent backend is missed, said, and never hidden.

Each test runs the suite's own fixture in a child process in which JAX cannot be imported.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VARIABLE = "PLUGGABLE_MLP_REQUIRE_BACKENDS"
WITHOUT_JAX = """
import sys
sys.modules["jax"] = None
import pytest
here = ["tests/backends/test_contract.py", "-k", "text and (numpy or jax)"]
sys.exit(pytest.main(["-p", "no:cacheprovider", *here]))
"""


def run(require: str | None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_JAX],
        cwd=ROOT,
        env=environment if require is None else environment | {VARIABLE: require},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_an_absent_backend_is_skipped_and_listed():
    done = run(None)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "absent: jax: jax is not installed" in done.stdout
    assert f"required: none ({VARIABLE} is not set: absent ones are skipped)" in done.stdout


def test_an_absent_backend_that_is_required_fails():
    done = run("numpy, jax")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{VARIABLE} requires it, but backend jax is not available" in done.stdout
    assert "1 error" in done.stdout
    assert "required: numpy, jax" in done.stdout


@pytest.mark.parametrize("typo", ["jacks", "numpy,tensorflow"])
def test_a_required_name_that_no_backend_has_stops_the_suite(typo):
    done = run(typo)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout + done.stderr
    assert f"{VARIABLE} names {typo.split(',')[-1]}: expected some of" in done.stderr
