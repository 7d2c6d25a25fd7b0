"""Trees of arrays in files: what is written comes back, nothing else is let in; and hashes."""

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from pluggable_mlp import LeakyReLU, get_backend
from pluggable_mlp.files import serialization
from pluggable_mlp.files.hashing import parameters_sha256, sha256_of
from pluggable_mlp.files.serialization import read_tree, write_tree
from pluggable_mlp.runs.saved import read_parameters

NUMPY = get_backend("numpy")
W = np.arange(12, dtype="float32").reshape(3, 4)
b = np.arange(4, dtype="float32")
SHA256 = hashlib.sha256(W.astype("<f4").tobytes() + b.astype("<f4").tobytes()).hexdigest()


class Pair(NamedTuple):
    first: object
    second: object


COMPONENTS = {"Pair": Pair, "LeakyReLU": LeakyReLU}
TREES = [
    None,
    [True, -3, 2**70, 0.1, -0.0, float("inf"), "é", [], {}],
    {"a": (1, (2.0,)), 3: "b", "tuple": {"dict": 1}, "array": [None], (1, "x"): ()},
    Pair({"w": W}, [(b, b[:0]), LeakyReLU(0.25)]),
    {"flags": np.asarray([True, False]), "number": np.asarray(2.5)},
]


def plain(value):
    """The tree with a list for each array, and the dtype."""
    if isinstance(value, np.ndarray):
        return value.dtype.name, value.tolist()
    if isinstance(value, dict):
        return {key: plain(of) for key, of in value.items()}
    if isinstance(value, list | tuple):
        return type(value).__name__, [*map(plain, value)]
    return value


@pytest.mark.parametrize("tree", TREES, ids=range(len(TREES)))
def test_a_tree_comes_back(tree, tmp_path):
    write_tree(tmp_path / "a", tree, COMPONENTS)
    assert repr(plain(read_tree(tmp_path / "a", "a tree", COMPONENTS))) == repr(plain(tree))


def test_arrays_are_named_after_their_places(tmp_path):
    write_tree(tmp_path / "a", Pair([{"W": W}, {"W": b}], {"x": (b,)}), COMPONENTS)
    assert set(load_file(tmp_path / "a")) == {"first.0.W", "first.1.W", "second.x.0"}


@pytest.mark.parametrize(
    "tree", [{"a": {1, 2}}, {"a": Pair(1, 2), "b": print}, {"a.b": W, "a": {"b": W}}]
)
def test_what_a_file_cannot_hold_is_named(tree, tmp_path):
    with pytest.raises(ValueError, match=r"(?s)(a|b|a\.b) is .*, which a file cannot hold"):
        write_tree(tmp_path / "a", tree, COMPONENTS)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    "arranged",
    [
        np.asfortranarray(W),
        np.repeat(W, 2, axis=1)[:, ::2],
        W[::-1, ::-1].copy()[::-1, ::-1],
        W.astype(">f4"),
    ],
    ids=["by columns", "with gaps", "backwards", "big-endian"],
)
def test_the_layout_in_memory_does_not_reach_the_file(arranged, tmp_path):
    path = tmp_path / "model.safetensors"
    write_tree(path, [{"W": arranged, "b": b}])
    assert parameters_sha256([{"W": arranged, "b": b}], NUMPY) == SHA256
    assert load_file(path)["0.W"].tolist() == W.tolist()
    (layer,) = read_parameters(path, NUMPY, SHA256, [{"W": W, "b": b}])
    assert (list(layer), layer["W"].tolist()) == (["W", "b"], W.tolist())


def test_a_hash_is_of_texts_bytes_and_arrays():
    by_hand = hashlib.sha256(b"\xc3\xa9" + b"ab" + W.astype("<f4").tobytes()).hexdigest()
    assert sha256_of(["é", b"ab", W.T.astype(">f4").T]) == by_hand


def test_what_does_not_come_back_is_named(tmp_path, monkeypatch):
    """As safetensors 0.8 writes arrays by columns: as they lie in memory."""

    def scrambling(tensors, metadata):
        turned = np.ascontiguousarray(tensors["0.W"].T).reshape(W.shape)
        return save(tensors | {"0.W": turned}, metadata)

    monkeypatch.setattr(serialization, "save", scrambling)
    path = tmp_path / "model.safetensors"
    write_tree(path, [{"W": W, "b": b}])
    with pytest.raises(ValueError, match="model.safetensors is damaged: its contents do not match"):
        read_parameters(path, NUMPY, SHA256, [{"W": W, "b": b}])


def test_parameters_of_another_run_are_named(tmp_path):
    path = tmp_path / "model.safetensors"
    write_tree(path, [{"W": W + 1, "b": b}])
    with pytest.raises(ValueError, match=f"model.safetensors holds .*, expected {SHA256}"):
        read_parameters(path, NUMPY, SHA256, [{"W": W, "b": b}])


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_the_file_may_be_read_by_those_whom_the_umask_lets(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_tree(tmp_path / "a", W)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~mask


def written(content, arrays):
    """A file whose hash is right."""
    text = json.dumps(content)
    named = (
        f"{name} {of.dtype.name} {of.shape}".encode() + of.tobytes() for name, of in arrays.items()
    )
    digest = hashlib.sha256(text.encode() + b"".join(named)).hexdigest()
    return save(arrays, {"pluggable_mlp": json.dumps({"sha256": digest, "tree": content})})


@pytest.mark.parametrize(
    "content",
    [
        {"array": "b"},
        {"dict": [1]},
        {"component": "Path", "parameters": {}},
        {"component": "LeakyReLU"},
        {"component": "LeakyReLU", "parameters": {"slope": "steep"}},
        {"component": "Pair", "parameters": {"first": 1}},
        [{"array": "a"}, {"array": "a"}],
    ],
    ids=str,
)
def test_what_is_no_tree_is_refused(tmp_path, content):
    """Among it an array that has two places."""
    (tmp_path / "a").write_bytes(written(content, {"a": b}))
    with pytest.raises(ValueError, match="a is damaged: "):
        read_tree(tmp_path / "a", "a tree", COMPONENTS)


@pytest.mark.parametrize(
    "text", ["", "{", "5", "[]", "{}", "[" * 100_000, '{"a":' * 900 + "1" + "}" * 900]
)
def test_metadata_of_something_else_are_refused(tmp_path, text):
    (tmp_path / "a").write_bytes(save({}, {"pluggable_mlp": text}))
    with pytest.raises(ValueError, match="a is damaged: "):
        read_tree(tmp_path / "a", "a tree")


def test_equal_trees_give_equal_files(tmp_path):
    for name in "ab":
        write_tree(tmp_path / name, TREES[3], COMPONENTS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_file_that_may_not_be_read_is_not_missing(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"")
    path.chmod(0)
    user = os.geteuid()
    os.seteuid(user or 65534)  # root may read everything
    try:
        with pytest.raises(ValueError, match="a cannot be read: Permission"):
            read_tree(path, "a tree")
    finally:
        os.seteuid(user)


def test_why_else_a_file_cannot_be_read(tmp_path):
    with pytest.raises(ValueError, match="absent is missing; expected a tree"):
        read_tree(tmp_path / "absent", "a tree")
    for path in (tmp_path, Path(os.devnull)):  # a device might never end
        with pytest.raises(ValueError, match="is not a file; expected a tree"):
            read_tree(path, "a tree")
