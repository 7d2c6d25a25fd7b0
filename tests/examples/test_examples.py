"""The examples of the estimators run, and print what their first lines promise."""

import re
import runpy
import warnings
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name, capsys):
    """What an example prints; its fits may end before they converge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return capsys.readouterr().out


def test_classification(capsys):
    accuracies = [
        float(found) for found in re.findall(r"0\.\d+|1\.0+", run("classification.py", capsys))
    ]
    assert len(accuracies) == 3
    assert min(accuracies) > 0.85


def test_a_torch_embedding_with_a_classifier_as_its_head(capsys):
    pytest.importorskip("torch")
    said = run("embedding_head.py", capsys)
    assert "weights: Tensor on " in said
    assert float(said.split()[-1]) > 0.85


@pytest.mark.slow
def test_grid_search(capsys):
    said = run("grid_search.py", capsys)
    assert len(re.findall(r"accuracy 0\.[89]\d\d", said)) == 3


def test_the_same_bits_on_two_backends(capsys):
    pytest.importorskip("torch")
    hashes = re.findall(r"parameters ([0-9a-f]{64})", run("same_bits_estimators.py", capsys))
    assert len(hashes) == 2
    assert len(set(hashes)) == 1


@pytest.mark.slow
def test_a_search_on_a_dask_cluster(capsys):
    pytest.importorskip("distributed")
    said = run("dask_search.py", capsys)
    assert re.search(r"accuracy 0\.[89]\d\d", said)
    assert said.count("loss") == 3


@pytest.mark.slow
def test_a_sweep(capsys):
    accuracies = re.findall(r"accuracy (0\.\d+) after", run("sweep.py", capsys))
    assert len(accuracies) == 5
    assert min(map(float, accuracies)) > 0.95
