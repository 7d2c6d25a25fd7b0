"""Training, evaluation and prediction on .npy files that are read a block at a time."""

import csv
import io
import json
import warnings

import numpy as np
import pytest

from pluggable_mlp.backends.numpy import NumpyBackend
from pluggable_mlp.data import split
from pluggable_mlp.host.lazy import StoredArray
from tests.cli.children import running

COUNT, FEATURES = 420, 5
TRAIN = ("--hidden", "6", "--batch-size", "8", "--epochs", "3", "--arithmetic", "reproducible")
BLOCKS = (*TRAIN, "--block-size", "64")


@pytest.fixture
def folder(tmp_path):
    """A folder with X.npy and y.npy, sorted by class."""
    rng = np.random.default_rng(0)
    y = np.arange(COUNT) // (COUNT // 3)
    X = (rng.normal(size=(COUNT, FEATURES)) + y[:, np.newaxis]).astype("float32")
    (tmp_path / "set").mkdir()
    np.save(tmp_path / "set" / "X.npy", X)
    np.save(tmp_path / "set" / "y.npy", y)
    return tmp_path / "set"


def trained(command, data, output, *more):
    result = command("train", "--data", data, "--output", output, *more)
    assert result.code == 0, result.err
    return tuple(
        json.loads((output / name).read_text()) for name in ("config.json", "summary.json")
    )


def test_blocks_are_the_same_data_in_another_order(command, folder, tmp_path):
    config, summary = trained(command, folder, tmp_path / "blocks", *BLOCKS)
    whole, other = trained(command, folder, tmp_path / "whole", *TRAIN)
    assert config["settings"]["block_size"] == 64
    assert whole["settings"]["block_size"] == 0
    assert config["data_sha256"] == whole["data_sha256"]
    assert config["input_range"] == whole["input_range"]
    assert summary["parameters_sha256"] != other["parameters_sha256"]
    assert summary["test_accuracy"] > 0.5  # of three classes, though sorted by class


def test_a_run_in_blocks_is_verified_on_another_backend(command, folder, tmp_path):
    pytest.importorskip("torch")
    more = ("--validation", "0.2", "--scaling", "standard")
    trained(command, folder, tmp_path / "run", *BLOCKS, *more)
    result = command("verify", tmp_path / "run", "--backend", "torch")
    assert result.code == 0, result.out
    assert "same bits" in result.out


def test_large_files_are_read_in_blocks_by_themselves(command, folder, tmp_path, monkeypatch):
    """And so are they evaluated and predicted; other blocks give the same answers."""
    inputs = np.load(folder / "X.npy")
    whole = trained(command, folder, tmp_path / "whole", *TRAIN)[1]
    rows = predicted(command, tmp_path / "whole", folder / "X.npy")
    measured = command("evaluate", "--json", tmp_path / "whole").out
    monkeypatch.setattr(split, "LARGEST_IN_MEMORY", inputs.nbytes - 1)
    monkeypatch.setattr(split, "BYTES_PER_BLOCK", 70 * FEATURES * 4)
    config, summary = trained(command, folder, tmp_path / "blocks", *TRAIN)
    assert config["settings"]["block_size"] == 70
    assert summary["parameters_sha256"] != whole["parameters_sha256"]
    assert predicted(command, tmp_path / "whole", folder / "X.npy") == rows
    other = tmp_path / "other"
    other.mkdir()
    np.save(other / "X.npy", inputs[::-1].copy())
    np.save(other / "y.npy", np.load(folder / "y.npy")[::-1].copy())
    result = command("evaluate", "--json", tmp_path / "whole", "--data", other)
    assert result.code == 0, result.err
    again = json.loads(result.out)
    assert again["examples"] == COUNT
    assert json.loads(measured)["examples"] == COUNT // 7


def test_a_row_beyond_a_block_is_a_block(command, folder, tmp_path, monkeypatch):
    """Not all rows at once: then there would be no blocks."""
    monkeypatch.setattr(split, "LARGEST_IN_MEMORY", 0)
    monkeypatch.setattr(split, "BYTES_PER_BLOCK", 4)
    config, _ = trained(command, folder, tmp_path / "run", *TRAIN)
    assert config["settings"]["block_size"] == 8  # a batch


def test_training_reads_a_block_at_most(command, folder, monkeypatch):
    """Of all rows, also to check, hash and measure them."""
    rows = []

    def noting(take):
        def noted(self, which):
            found = take(self, which)
            rows.append(len(found) if isinstance(found, np.ndarray) else 0)
            return found

        return noted

    for name in ("__getitem__", "at"):
        monkeypatch.setattr(StoredArray, name, noting(getattr(StoredArray, name)))
    monkeypatch.setattr("pluggable_mlp.host.lazy._BYTES_AT_ONCE", 16 * FEATURES * 4)
    assert command("train", "--data", folder, *BLOCKS, "--validation", "0.1").code == 0
    assert max(rows) <= 64
    assert sum(rows) > COUNT


def test_other_large_files_are_evaluated_in_blocks(command, folder, tmp_path, monkeypatch):
    """No array of more rows than a block comes to the library."""
    trained(command, folder, tmp_path / "run", *TRAIN)
    monkeypatch.setattr(split, "LARGEST_IN_MEMORY", 0)
    monkeypatch.setattr(split, "BYTES_PER_BLOCK", 70 * FEATURES * 4)
    rows, original = [], NumpyBackend.asarray

    def noted(self, array, **options):
        rows.append(len(array) if np.ndim(array) == 2 else 0)
        return original(self, array, **options)

    monkeypatch.setattr(NumpyBackend, "asarray", noted)
    with warnings.catch_warnings(action="ignore"):  # they are those of training
        outcome = command("evaluate", "--json", tmp_path / "run", "--data", folder)
    assert json.loads(outcome.out)["examples"] == COUNT
    assert max(rows) == 70


def predicted(command, run, path):
    result = command("predict", run, path)
    assert result.code == 0, result.err
    return list(csv.reader(io.StringIO(result.out)))


@pytest.mark.parametrize(
    ("options", "messages"),
    [
        (["--block-size", "4"], ["block_size is 4", "at least a batch, 8"]),
        (["--block-size", "-1"], ["block_size is '-1'"]),
        (["--block-size", "64", "--scaling", "robust"], ["robust scaling", "--block-size 0"]),
        (["--block-size", "64", "--scaling", "smooth_clip"], ["smooth_clip scaling sorts all"]),
        (["--block-size", "64", "--scaling", "quantile"], ["quantile scaling sorts all"]),
    ],
)
def test_what_blocks_cannot_do_is_refused(command, folder, options, messages):
    result = command("train", "--data", folder, *TRAIN, *options)
    assert result.code == 2
    assert all(message in result.err for message in messages)


def test_what_is_in_fortran_order_is_held_in_memory(command, folder, tmp_path):
    """A warning says so; the run visits the same blocks of the same rows."""
    found = trained(command, folder, tmp_path / "rows", *BLOCKS)[1]["parameters_sha256"]
    np.save(folder / "X.npy", np.asfortranarray(np.load(folder / "X.npy")))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        errors = command("train", "--data", folder, "--output", tmp_path / "columns", *BLOCKS).err
    assert "X.npy: is in Fortran order, so all of it is held in memory" in errors
    summary = json.loads((tmp_path / "columns" / "summary.json").read_text())
    assert summary["parameters_sha256"] == found


@pytest.mark.slow
@pytest.mark.parametrize("how", ["replaced", "written to"])
def test_a_file_that_changes_during_training_ends_it(command, folder, tmp_path, how):
    """What other rows would be trained on does not have the hash that the certificate states."""
    run, other = tmp_path / "run", np.load(folder / "X.npy")[::-1].copy()
    with running("train", "--data", folder, *BLOCKS, "--epochs", 10**6, "--output", run) as child:
        assert child.stdout.readline().startswith("epoch   1/")
        if how == "replaced":
            np.save(tmp_path / "other.npy", other)
            (tmp_path / "other.npy").replace(folder / "X.npy")
        else:
            np.save(folder / "X.npy", other)
        _, err = child.communicate(timeout=300)
    assert child.returncode == 2
    assert f"Error: {folder / 'X.npy'} was replaced or written to while it was in use" in err
    assert "Traceback" not in err
    np.save(folder / "X.npy", other[::-1])
    assert command("verify", run).code == 0
