"""IDX files, their bytes written out by hand after the format's description."""

import gzip

import numpy as np
import pytest

from pluggable_mlp.data import DataError, load_dataset

IMAGES = b"\0\0\x08\x03" + b"\0\0\0\x04\0\0\0\x02\0\0\0\x03" + bytes(range(200, 224))
LABELS = b"\0\0\x08\x01" + b"\0\0\0\x04" + b"\2\0\1\2"
FILES = {
    "train-images-idx3-ubyte": IMAGES,
    "train-labels-idx1-ubyte": LABELS,
    "t10k-images-idx3-ubyte": IMAGES,
    "t10k-labels-idx1-ubyte": LABELS,
}


def write_folder(folder, files, pack=bytes, suffix=""):
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, data in files.items():
        (folder / (name + suffix)).write_bytes(pack(data))
    return str(folder)


@pytest.fixture(params=["plain", "gzip"])
def packing(request):
    return (bytes, "") if request.param == "plain" else (gzip.compress, ".gz")


def test_a_folder_is_read(tmp_path, packing, check_rules):
    dataset = load_dataset(write_folder(tmp_path / "data", FILES, *packing))
    check_rules(dataset)
    assert dataset.train.inputs.dtype == np.uint8
    assert dataset.train.inputs.tolist() == [list(range(k, k + 6)) for k in range(200, 224, 6)]
    assert dataset.train.targets.tolist() == [2, 0, 1, 2]
    assert (dataset.scale, dataset.outputs) == (1 / 256, 3)
    assert dataset.name == str(tmp_path / "data")


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(tmp_path, name):
    files = {other: data for other, data in FILES.items() if other != name}
    with pytest.raises(DataError, match=f"no {name} and no {name}.gz"):
        load_dataset(write_folder(tmp_path / "data", files))


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "begins with nothing"),
        (b"\x89PNG" + IMAGES, "not an IDX file of bytes: it begins with 89 50 4e 47"),
        (b"\0\0\x0d" + IMAGES[3:], "not an IDX file of bytes: it begins with 00 00 0d"),
        (b"\0\0\x08\x05" + IMAGES[4:], "not an IDX file"),
        (IMAGES[:10], "not an IDX file of bytes: it begins with 00 00 08 03"),
        (IMAGES[:-1], "holds 23 bytes, and its shape (4, 2, 3) needs 24"),
        (IMAGES + b"\0", "holds 25 bytes, and its shape (4, 2, 3) needs 24"),
        (b"\0\0\x08\x03" + b"\xff" * 12 + IMAGES[16:], f"needs {(2**32 - 1) ** 3}"),
        (gzip.compress(IMAGES[:-1]), "holds 23 bytes, and its shape (4, 2, 3) needs 24"),
        (gzip.compress(IMAGES)[:-1], "cannot be read"),
    ],
)
def test_a_bad_file_is_named_with_its_fault(tmp_path, data, fault):
    folder = write_folder(tmp_path / "data", FILES | {"t10k-images-idx3-ubyte": data})
    with pytest.raises(DataError) as caught:
        load_dataset(folder, task="classification")
    assert fault in str(caught.value)
    assert folder in str(caught.value)
