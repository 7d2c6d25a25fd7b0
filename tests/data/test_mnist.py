"""Published data by name: where they are looked for, that they are genuine, and downloads.

The server is on loopback and has small files.
"""

import gzip
import hashlib
import pickle
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import numpy as np
import pytest

from pluggable_mlp.data import DataError, load_dataset, mnist
from pluggable_mlp.data.arrays import IDX_NAMES
from pluggable_mlp.data.mnist import Published, load_named

GENERATOR = np.random.default_rng(0)
ARRAYS = {
    "train_inputs": GENERATOR.integers(0, 256, (6, 28, 28), dtype=np.uint8),
    "train_labels": np.array([2, 0, 1, 2, 1, 0], dtype=np.uint8),
    "test_inputs": GENERATOR.integers(0, 256, (2, 28, 28), dtype=np.uint8),
    "test_labels": np.array([1, 2], dtype=np.uint8),
}
OTHER = {
    "train_inputs": 255 - ARRAYS["train_inputs"],
    "train_labels": ARRAYS["train_labels"][::-1].copy(),
    "test_inputs": 255 - ARRAYS["test_inputs"],
    "test_labels": np.array([1, 1], dtype=np.uint8),
}
FIELDS = dict(zip(ARRAYS, [name for pair in IDX_NAMES.values() for name in pair], strict=True))
NAMES = [f"{name}.gz" for name in FIELDS.values()]


def idx(array):
    lengths = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return bytes([0, 0, 8, array.ndim]) + lengths + array.tobytes()


FILES = [gzip.compress(idx(array), mtime=0) for array in ARRAYS.values()]
HASHES = tuple(hashlib.sha256(content).hexdigest() for content in FILES)


def put_idx(folder, suffix=".gz", **changes):
    folder.mkdir(parents=True)
    for field, array in (ARRAYS | changes).items():
        data = idx(array)
        packed = gzip.compress(data, mtime=0) if suffix else data
        (folder / (FIELDS[field] + suffix)).write_bytes(packed)


def put_classic(folder, dtype=np.float32, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    arrays = ARRAYS | changes
    x, y = arrays["train_inputs"].reshape(-1, 784) / dtype(256), arrays["train_labels"]
    test = (arrays["test_inputs"].reshape(-1, 784) / dtype(256), arrays["test_labels"])
    content = ((x[:4], y[:4].astype(int)), (x[4:], y[4:].astype(int)), test)
    (folder / "mnist.pkl.gz").write_bytes(gzip.compress(pickle.dumps(content, 4)))


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder, and notes the paths that it was asked for."""

    asked: ClassVar[list[str]] = []

    def log_message(self, *_):
        self.asked.append(self.path)


@pytest.fixture
def published(tmp_path):
    """The folder of a server that has the files, and its address."""
    put_idx(tmp_path / "published")
    handler = partial(Handler, directory=tmp_path / "published")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield tmp_path / "published", f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(autouse=True)
def data(monkeypatch, tmp_path):
    """The folder of the variable, empty yet; data of a few images that no server has."""
    for name in mnist.PUBLISHED:
        monkeypatch.setitem(mnist.PUBLISHED, name, Published("http://127.0.0.1/", HASHES))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PLUGGABLE_MLP_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "data"


@pytest.fixture
def publish(monkeypatch):
    """Say where MNIST is published."""

    def on(address):
        monkeypatch.setitem(mnist.PUBLISHED, "mnist", Published(address, HASHES))

    return on


def check_is_all_of_it(name):
    dataset = load_dataset(name)
    assert dataset.name == name
    assert (dataset.scale, dataset.outputs) == (1 / 256, 3)
    assert dataset.splits.keys() == {"train", "test"}
    for field, array in ARRAYS.items():
        part, kind = field.split("_")
        found = dataset.splits[part][kind == "labels"]
        assert found.tolist() == array.reshape(found.shape).tolist()


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("place", ["cache", "data"])
def test_idx_files_are_found_in_one_folder(data, monkeypatch, name, suffix, place):
    """That of the variable, or else the cache."""
    cache = data.parent / "cache" / "pluggable-mlp"
    put_idx(cache / name, suffix, **(OTHER if place == "data" else {}))
    put_idx(data / name, suffix, **(OTHER if place == "cache" else {}))
    if place == "cache":
        monkeypatch.setenv("PLUGGABLE_MLP_DATA", "")
    check_is_all_of_it(name)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mnist_is_the_same_from_the_classic_pickle(data, dtype):
    put_classic(data, dtype)
    check_is_all_of_it("mnist")
    put_idx(data / "mnist")
    check_is_all_of_it("mnist")


def test_missing_files_are_downloaded_once(data, published, publish):
    put_idx(data / "mnist")
    (data / "mnist" / NAMES[3]).unlink()
    publish(published[1])
    Handler.asked.clear()
    for _ in range(2):
        check_is_all_of_it("mnist")
    assert Handler.asked == [f"/{NAMES[3]}"]
    assert sorted(path.name for path in (data / "mnist").iterdir()) == sorted(NAMES)


def failure(data):
    """Whatever the fault, the message says what to put where."""
    with pytest.raises(DataError) as caught:
        load_named("mnist")
    message = str(caught.value)
    assert message.startswith("mnist: ")
    assert NAMES[3] in message
    assert str(data / "mnist") in message
    return message


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "404"),
        (b"<html>not found</html>", HASHES[3]),
        (FILES[3][:-3], HASHES[3]),
        (gzip.compress(idx(OTHER["test_labels"])), HASHES[3]),
    ],
)
def test_a_file_that_is_not_genuine_is_not_kept(data, published, publish, content, fault):
    (published[0] / NAMES[3]).unlink()
    if content is not None:
        (published[0] / NAMES[3]).write_bytes(content)
    publish(published[1])
    assert fault in failure(data)
    assert sorted(path.name for path in (data / "mnist").iterdir()) == sorted(NAMES[:3])


def test_without_pooch_the_error_says_how_to_install_it(data, publish, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    publish("http://127.0.0.1/")
    with pytest.raises(
        ImportError, match=r"mnist is not on this .* pip install 'pluggable-mlp\[download\]'"
    ):
        load_named("mnist")
    assert not data.exists()


@pytest.mark.slow
def test_mnist_and_fashion_mnist_are_the_published_ones(real_data, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("PLUGGABLE_MLP_DATA", str(real_data))
    for name, first_labels in (("mnist", [5, 0, 4, 1, 9]), ("fashion-mnist", [9, 0, 0, 3, 0])):
        dataset = load_dataset(name)
        assert dataset.train.inputs.shape == (60_000, 784)
        assert dataset.test.inputs.shape == (10_000, 784)
        assert dataset.train.targets[:5].tolist() == first_labels
