"""From a name or a path to the right reader; the formats are tested with their readers."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, get_backend, train
from pluggable_mlp.data import DataError, load_dataset, loading
from pluggable_mlp.data.loading import load_source


@pytest.fixture
def called(monkeypatch):
    """Replace every reader by one that notes its name and what it was called with."""
    calls = []

    def note(name):
        return lambda *arguments: calls.append((name, *arguments))

    monkeypatch.setattr(loading, "load_digits", note("digits"))
    monkeypatch.setattr(loading, "load_named", note("named"))
    monkeypatch.setattr(loading, "read_idx_folder", note("idx"))
    monkeypatch.setattr(
        loading, "READERS", {suffixes: note(suffixes[0]) for suffixes in loading.READERS}
    )
    return calls


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("digits", ("digits",)),
        ("mnist", ("named", "mnist")),
        ("fashion-mnist", ("named", "fashion-mnist")),
        ("a/mnist.pkl.gz", (".pkl", "a/mnist.pkl.gz")),
        ("other.PKL", (".pkl", "other.PKL")),
        ("a.npz", (".npz", "a.npz")),
        (pathlib.Path("a.csv"), (".csv", "a.csv")),
        ("a.csv.gz", (".csv", "a.csv.gz")),
        (".", ("idx", ".")),
    ],
)
def test_the_reader_is_chosen(called, spec, expected):
    load_source(spec)
    assert called == [expected]


@pytest.mark.parametrize("spec", ["", "minst", "MNIST", "a.txt", "a.gz", "a\0b", "x" * 5000])
def test_what_is_no_data_set_is_told_what_there_is(spec):
    with pytest.raises(DataError, match="give digits, mnist, fashion-mnist, a folder of IDX files"):
        load_dataset(spec)


@pytest.mark.parametrize("spec", ["absent.npz", "absent.csv", "absent.pkl.gz", "a\0b.npz"])
def test_an_absent_file_is_named(spec):
    with pytest.raises(DataError, match="there is no such file") as caught:
        load_dataset(spec)
    assert str(caught.value).startswith(spec)


def test_a_folder_without_idx_files(tmp_path):
    with pytest.raises(DataError, match="has no train-images-idx3-ubyte"):
        load_dataset(str(tmp_path))


def test_a_file_is_read_from_end_to_end(tmp_path):
    path = tmp_path / "table.npz"
    np.savez(path, X=np.arange(70)[:, None] / 100, y=np.arange(70) % 2)
    dataset = load_dataset(path)
    assert dataset.name == str(path)
    assert dataset.train.inputs.shape == (60, 1)
    assert load_dataset(path, seed=0).sha256() == dataset.sha256()
    assert load_dataset(path, seed=1).sha256() != dataset.sha256()


def test_numbers_are_learned_from_a_table(tmp_path):
    path, x = tmp_path / "table.csv", np.linspace(-1, 1, 70)
    np.savetxt(path, np.stack([x, x**2, 3 * x - 1], axis=1), delimiter=",")
    data = load_dataset(path, task="regression")
    assert (data.features, data.outputs, data.class_labels) == (2, 1, None)
    mlp = MLP([2, 8, 1], activation="tanh", loss="squared")
    backend = get_backend("numpy")
    result = train(mlp, *data.train, backend=backend, optimizer=SGD(0.1), epochs=30, batch_size=10)
    assert result.history[-1] < result.history[0] / 20
    with pytest.raises(DataError, match="is not a whole number; classes are .* task='regression'"):
        load_dataset(path)


def test_reading_imports_no_optional_library():
    code = (
        "import sys; from pluggable_mlp.data import load_dataset; load_dataset('digits');"
        "print([name for name in ('pooch', 'requests', 'torch', 'jax', 'cupy', 'sklearn')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
