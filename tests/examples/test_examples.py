"""The examples run as their first lines say, and print what these promise."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(name):
    """Return what an example prints, started in the folder and by the command of its first lines.

    Packages of the extras named there may be missing: then the test is skipped.
    """
    path = ROOT / "examples" / name
    install, start = re.search(
        r"^ *(python .*) && (python .*)$", path.read_text("utf-8"), re.M
    ).groups()
    for extra in re.findall(r"\w+(?=[],])", install):
        pytest.importorskip(extra)
    command = [sys.executable, *shlex.split(start)[1:]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_classification():
    accuracies = [float(found) for found in re.findall(r"0\.\d+|1\.0+", run("classification.py"))]
    assert len(accuracies) == 3
    assert min(accuracies) > 0.85


def test_a_torch_embedding_with_a_classifier_as_its_head():
    said = run("embedding_head.py")
    assert "weights: Tensor on " in said
    assert float(said.split()[-1]) > 0.85


@pytest.mark.slow
def test_grid_search():
    assert len(re.findall(r"accuracy 0\.[89]\d\d", run("grid_search.py"))) == 3


def test_the_same_bits_on_two_backends():
    hashes = re.findall(r"parameters ([0-9a-f]{64})", run("same_bits_estimators.py"))
    assert len(hashes) == 2
    assert len(set(hashes)) == 1


@pytest.mark.slow
def test_estimators_of_scikit_learn_give_the_same_bits_on_two_libraries():
    lines = [line.split() for line in run("same_bits_scikit_learn.py").splitlines()]
    found = {(library, kind): digest for library, kind, digest in lines}
    assert len(found) == 4
    assert found["numpy", "reproducible"] == found["torch", "reproducible"]
    assert found["numpy", "reproducible"] != found["numpy", "native"]


@pytest.mark.slow
def test_a_search_on_a_dask_cluster():
    said = run("dask_search.py")
    assert re.search(r"accuracy 0\.[89]\d\d", said)
    assert said.count("loss") == 3


@pytest.mark.slow
def test_a_sweep():
    accuracies = re.findall(r"accuracy (0\.\d+) after", run("sweep.py"))
    assert len(accuracies) == 5
    assert min(map(float, accuracies)) > 0.95
