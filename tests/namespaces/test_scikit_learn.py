"""scikit-learn's estimators on the reproducible namespace: what its example prints."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "same_bits_scikit_learn.py"


@pytest.mark.slow
def test_estimators_of_scikit_learn_give_the_same_bits_on_two_libraries() -> None:
    pytest.importorskip("sklearn", "1.9", reason="older estimators lack array API support")
    pytest.importorskip("torch", reason="the example compares NumPy with PyTorch")
    run = subprocess.run(
        [sys.executable, "-W", "ignore", EXAMPLE], capture_output=True, text=True, check=True
    )
    lines = [line.split() for line in run.stdout.splitlines()]
    found = {(library, kind): digest for library, kind, digest in lines}
    assert len(found) == 4
    assert found["numpy", "reproducible"] == found["torch", "reproducible"]
    assert found["numpy", "reproducible"] != found["numpy", "native"]
