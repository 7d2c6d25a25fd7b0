"""The file of a network's parameters: what is written comes back, and nothing else is let in."""

import hashlib
import os
import stat
import struct

import numpy as np
import pytest
from safetensors.numpy import load_file, save, save_file

from pluggable_mlp.backends import get_backend
from pluggable_mlp.training.checkpoints import load_parameters, parameters_sha256, save_parameters

NUMPY = get_backend("numpy")
W = np.arange(12, dtype="float32").reshape(3, 4)
b = np.arange(4, dtype="float32")
SHA256 = hashlib.sha256(W.astype("<f4").tobytes() + b.astype("<f4").tobytes()).hexdigest()


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
    save_parameters(path, [{"W": arranged, "b": b}], NUMPY, SHA256)
    assert parameters_sha256([{"W": arranged, "b": b}], NUMPY) == SHA256
    assert load_file(path)["0.W"].tolist() == W.tolist()
    (layer,) = load_parameters(path, NUMPY, SHA256)
    assert (list(layer), layer["W"].tolist()) == (["W", "b"], W.tolist())


def test_what_does_not_come_back_is_told(tmp_path, monkeypatch):
    """As safetensors 0.8 writes arrays by columns: as they lie in memory."""
    from pluggable_mlp.training import checkpoints

    def scrambling(tensors, metadata):
        turned = np.ascontiguousarray(tensors["0.W"].T).reshape(W.shape)
        return save(tensors | {"0.W": turned}, metadata)

    monkeypatch.setattr(checkpoints, "save", scrambling)
    with pytest.raises(ValueError, match=f"model.safetensors holds .*, expected {SHA256}"):
        save_parameters(tmp_path / "model.safetensors", [{"W": W, "b": b}], NUMPY, SHA256)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_the_file_may_be_read_by_those_whom_the_umask_lets(tmp_path, mask):
    before = os.umask(mask)
    try:
        save_parameters(tmp_path / "model.safetensors", [{"W": W, "b": b}], NUMPY, SHA256)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "model.safetensors").stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize(
    "keys",
    [
        ("999999999.W",),
        ("00.W",),
        ("0.W", "00.W"),
        ("-1.W",),
        ("0.W", "2.W"),
        ("1.W",),
        ("1_0.W",),
        ("٠.W",),
        (" 0.W",),
        ("W",),
        ("",),
        ("9" * 5000 + ".W",),
    ],
    ids=lambda keys: " ".join(keys)[:20],
)
def test_keys_of_no_network_are_refused_at_once(tmp_path, keys):
    path = tmp_path / "model.safetensors"
    save_file(dict.fromkeys(keys, b), path)
    with pytest.raises(ValueError, match=r"model.safetensors is not a file of .*'0\.W'") as refusal:
        load_parameters(path, NUMPY, SHA256)
    assert len(str(refusal.value)) < 400 + len(str(path))


TENSOR = '{"dtype":"F32","shape":[4],"data_offsets":[0,16]}'


@pytest.mark.parametrize(
    "header",
    [
        f'{{"0.W":{TENSOR.replace("F32", "BF16").replace("16]", "8]")}}}',
        f'{{"0.W":{TENSOR},"0.W":{TENSOR.replace("[0,16]", "[16,32]")}}}',
        f'{{"0.W":{TENSOR.replace("[4]", str([4] + 70 * [1]))}}}',
        f'{{"0.W":{TENSOR.replace("[4]", "[4, 4]")}}}',
        "{",
    ],
    ids=["a dtype that NumPy lacks", "one key twice", "71 axes", "too short", "no JSON"],
)
def test_a_header_that_cannot_be_meant_is_refused(tmp_path, header):
    size = 32 if "32]" in header else 8 if "8]" in header else 16
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode() + bytes(size))
    with pytest.raises(ValueError, match="is not a file of a network's parameters"):
        load_parameters(path, NUMPY, SHA256)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_file_that_may_not_be_read_is_not_missing(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"")
    path.chmod(0)
    user = os.geteuid()
    os.seteuid(user or 65534)  # root may read everything
    try:
        with pytest.raises(ValueError, match="model.safetensors cannot be read: Permission"):
            load_parameters(path, NUMPY, SHA256)
    finally:
        os.seteuid(user)


def test_why_else_a_file_cannot_be_read(tmp_path):
    with pytest.raises(ValueError, match="absent is missing"):
        load_parameters(tmp_path / "absent", NUMPY, SHA256)
    with pytest.raises(ValueError, match="is not a file; expected a model that train"):
        load_parameters(tmp_path, NUMPY, SHA256)
