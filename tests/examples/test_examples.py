"""The examples run as their first lines say, and print what these promise."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
slow = pytest.mark.slow

# Of each, what it prints, a number in it, how many of these there are, and the least of them.
EXAMPLES = [
    pytest.param("classification", r"(0\.\d+|1\.0+)", 3, 0.85, marks=slow),
    ("embedding_head", r"weights: Tensor on .*\n.*?([\d.]+)\s*$", 1, 0.85),
    pytest.param("grid_search", r"accuracy (0\.\d+)", 3, 0.8, marks=slow),
    pytest.param("dask_search", r"accuracy (0\.\d+)", 1, 0.8, marks=slow),
    pytest.param("sweep", r"accuracy (0\.\d+) after", 5, 0.95, marks=slow),
]


def run(name):
    """Return what an example prints, started in the folder and by the command of its first lines.

    Packages of the extras named there may be missing: then the test is skipped.
    """
    path = ROOT / "examples" / f"{name}.py"
    install, start = re.search(
        r"^ *(python .*) && (python .*)$", path.read_text("utf-8"), re.M
    ).groups()
    for extra in re.findall(r"\w+(?=[],])", install):
        pytest.importorskip(extra)
    command = [sys.executable, *shlex.split(start)[1:]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("name", "pattern", "count", "least"), EXAMPLES)
def test_an_example_reaches_what_it_promises(name, pattern, count, least):
    found = [float(number) for number in re.findall(pattern, run(name), re.DOTALL)]
    assert len(found) >= count
    assert min(found) > least


def test_the_same_bits_on_two_backends():
    hashes = re.findall(r"parameters ([0-9a-f]{64})", run("same_bits_estimators"))
    assert len(hashes) == 2
    assert len(set(hashes)) == 1


@slow
def test_estimators_of_scikit_learn_give_the_same_bits_on_two_libraries():
    lines = [line.split() for line in run("same_bits_scikit_learn").splitlines()]
    found = {(library, kind): digest for library, kind, digest in lines}
    assert len(found) == 4
    assert found["numpy", "reproducible"] == found["torch", "reproducible"]
    assert found["numpy", "reproducible"] != found["numpy", "native"]
