"""Published data by name: where they are looked for, and that they must be genuine."""

import gzip
import hashlib
import os
import pickle
import sys

import numpy as np
import pytest

from pluggable_mlp.data import DataError, mnist
from pluggable_mlp.data.arrays import IDX_NAMES
from pluggable_mlp.data.build import build_dataset
from pluggable_mlp.data.mnist import Published

GENERATOR = np.random.default_rng(0)
ARRAYS = {
    "train_inputs": GENERATOR.integers(0, 256, (6, 28, 28), dtype=np.uint8),
    "train_labels": np.array([2, 0, 1, 2, 1, 0], dtype=np.uint8),
    "test_inputs": GENERATOR.integers(0, 256, (2, 28, 28), dtype=np.uint8),
    "test_labels": np.array([1, 2], dtype=np.uint8),
}


def idx(array):
    lengths = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return bytes([0, 0, 8, array.ndim]) + lengths + array.tobytes()


def put_idx(folder, suffix=".gz", **changes):
    folder.mkdir(parents=True)
    for field, array in (ARRAYS | changes).items():
        data = idx(array)
        packed = gzip.compress(data) if suffix else data
        (folder / (IDX_NAMES[field] + suffix)).write_bytes(packed)


def put_classic(folder, dtype=np.float32, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    arrays = ARRAYS | changes
    x, y = arrays["train_inputs"].reshape(-1, 784) / dtype(256), arrays["train_labels"]
    test = (arrays["test_inputs"].reshape(-1, 784) / dtype(256), arrays["test_labels"])
    content = ((x[:4], y[:4].astype(int)), (x[4:], y[4:].astype(int)), test)
    (folder / "mnist.pkl.gz").write_bytes(gzip.compress(pickle.dumps(content, 4)))


@pytest.fixture(autouse=True)
def world(monkeypatch, tmp_path):
    """Published data of a few images; an empty cache; downloads only noted and refused."""
    published = Published(
        mirrors=(),
        gzip_sha256={},
        sha256={field: hashlib.sha256(idx(a)).hexdigest() for field, a in ARRAYS.items()},
    )
    for name in mnist.PUBLISHED:
        monkeypatch.setitem(mnist.PUBLISHED, name, published)

    def refuse(name, folder):
        raise DataError(name, f"would be downloaded to {folder}", "see test_mnist_downloads.py")

    monkeypatch.setattr(mnist, "_download", refuse)
    monkeypatch.setattr(mnist, "cache_folder", lambda: str(tmp_path / "cache"))
    monkeypatch.delenv("PLUGGABLE_MLP_DATA", raising=False)
    return tmp_path


def check_is_all_of_it(dataset, name):
    assert dataset.name == name
    assert (dataset.scale, dataset.outputs) == (1 / 256, 3)
    assert dataset.splits.keys() == {"train", "test"}
    for field, array in ARRAYS.items():
        part, kind = field.split("_")
        found = dataset.splits[part][kind == "labels"]
        assert found.tolist() == array.reshape(found.shape).tolist()


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_are_found_in_the_folders_of_the_variable(world, monkeypatch, name, suffix):
    (world / "empty" / name).mkdir(parents=True)
    put_idx(world / "full" / name, suffix)
    places = [world / "absent", world / "empty", world / "full"]
    monkeypatch.setenv("PLUGGABLE_MLP_DATA", os.pathsep.join(["", *map(str, places), ""]))
    check_is_all_of_it(build_dataset(mnist.load_named(name)), name)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_idx_files_are_found_in_the_cache(world, name):
    put_idx(world / "cache" / name)
    check_is_all_of_it(build_dataset(mnist.load_named(name)), name)


def test_the_folders_of_the_variable_come_before_the_cache(world, monkeypatch):
    put_idx(world / "cache" / "mnist", train_inputs=255 - ARRAYS["train_inputs"])
    put_idx(world / "first" / "mnist")
    put_idx(world / "second" / "mnist", train_inputs=255 - ARRAYS["train_inputs"])
    places = os.pathsep.join([str(world / "first"), str(world / "second")])
    monkeypatch.setenv("PLUGGABLE_MLP_DATA", places)
    check_is_all_of_it(build_dataset(mnist.load_named("mnist")), "mnist")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mnist_is_the_same_from_the_classic_pickle(world, monkeypatch, dtype):
    put_classic(world / "data", dtype)
    monkeypatch.setenv("PLUGGABLE_MLP_DATA", str(world / "data"))
    classic = build_dataset(mnist.load_named("mnist"))
    check_is_all_of_it(classic, "mnist")
    put_idx(world / "data" / "mnist")
    assert build_dataset(mnist.load_named("mnist")).sha256() == classic.sha256()


def test_the_classic_pickle_is_not_fashion_mnist(world, monkeypatch):
    put_classic(world / "data")
    monkeypatch.setenv("PLUGGABLE_MLP_DATA", str(world / "data"))
    with pytest.raises(DataError, match="would be downloaded"):
        build_dataset(mnist.load_named("fashion-mnist"))


OTHER = {
    "train_inputs": 255 - ARRAYS["train_inputs"],
    "train_labels": ARRAYS["train_labels"][::-1].copy(),
    "test_inputs": ARRAYS["test_inputs"].reshape(2, 14, 56),
    "test_labels": np.array([1, 1], dtype=np.uint8),
}


@pytest.mark.parametrize("field", OTHER)
def test_idx_files_that_are_not_the_published_ones_are_refused(world, monkeypatch, field):
    put_idx(world / "data" / "mnist", **{field: OTHER[field]})
    monkeypatch.setenv("PLUGGABLE_MLP_DATA", str(world / "data"))
    with pytest.raises(DataError, match="SHA-256") as caught:
        build_dataset(mnist.load_named("mnist"))
    assert str(world / "data" / "mnist" / IDX_NAMES[field]) in str(caught.value)


@pytest.mark.parametrize("field", ARRAYS)
def test_a_classic_pickle_that_is_not_the_published_one_is_refused(world, monkeypatch, field):
    other = OTHER | {"test_inputs": 255 - ARRAYS["test_inputs"]}  # of the same shape
    put_classic(world / "data", **{field: other[field]})
    monkeypatch.setenv("PLUGGABLE_MLP_DATA", str(world / "data"))
    with pytest.raises(DataError, match=rf"mnist\.pkl\.gz: the {field.replace('_', ' ')} have SHA"):
        build_dataset(mnist.load_named("mnist"))


@pytest.mark.parametrize("images", [np.zeros((6, 10)), ARRAYS["train_inputs"] / 255])
def test_a_classic_pickle_of_other_images_is_refused(world, monkeypatch, images):
    x, y = images.reshape(6, -1), ARRAYS["train_labels"]
    (world / "mnist.pkl.gz").write_bytes(pickle.dumps(((x, y), (x, y), (x, y)), 4))
    monkeypatch.setenv("PLUGGABLE_MLP_DATA", str(world))
    with pytest.raises(DataError, match="does not hold MNIST's images"):
        build_dataset(mnist.load_named("mnist"))


def test_incomplete_data_are_downloaded_to_the_cache(world, monkeypatch):
    put_idx(world / "data" / "mnist")
    (world / "data" / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    monkeypatch.setenv("PLUGGABLE_MLP_DATA", str(world / "data"))
    with pytest.raises(DataError, match="would be downloaded") as caught:
        build_dataset(mnist.load_named("mnist"))
    assert str(world / "cache" / "mnist") in str(caught.value)

    def fake(_name, folder):
        put_idx(world / os.path.relpath(folder, world))

    monkeypatch.setattr(mnist, "_download", fake)
    check_is_all_of_it(build_dataset(mnist.load_named("mnist")), "mnist")


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", "XDG_CACHE_HOME", "here/pluggable-mlp"),
        ("linux", None, "home/.cache/pluggable-mlp"),
        ("darwin", None, "home/Library/Caches/pluggable-mlp"),
        ("win32", "LOCALAPPDATA", "here/pluggable-mlp/Cache"),
    ],
)
def test_the_cache_folder_is_where_pooch_would_have_it(monkeypatch, platform, variable, expected):
    monkeypatch.undo()
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("HOME", "home")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if variable:
        monkeypatch.setenv(variable, "here")
    assert mnist.cache_folder() == expected


@pytest.mark.slow
def test_mnist_and_fashion_mnist_are_the_published_ones(real_data, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("PLUGGABLE_MLP_DATA", str(real_data))
    for name, first_labels in (("mnist", [5, 0, 4, 1, 9]), ("fashion-mnist", [9, 0, 0, 3, 0])):
        dataset = build_dataset(mnist.load_named(name))
        assert dataset.train.inputs.shape == (60_000, 784)
        assert dataset.test.inputs.shape == (10_000, 784)
        assert dataset.train.targets[:5].tolist() == first_labels
        images = dataset.train.inputs.reshape(-1, 28, 28)
        found = hashlib.sha256(idx(images)).hexdigest()
        assert found == mnist.PUBLISHED[name].sha256["train_inputs"]
