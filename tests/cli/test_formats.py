"""Every format of data: `train` and `evaluate` make the same of it as of arrays.

Predictions: tests/data/test_load.py and tests/runs/test_any_table.py.
"""

import gzip
import json
import pickle

import numpy as np
import pytest

from pluggable_mlp.data.arrays import IDX_NAMES
from tests.cli.saved_runs import content

polars = pytest.importorskip("polars")

GENERATOR = np.random.default_rng(0)
IMAGES = {
    part: GENERATOR.integers(0, 256, (count, 3, 3), dtype=np.uint8)
    for part, count in {"train": 140, "test": 28, "validation": 21}.items()
}
LABELS = {part: (images[:, 1, 1] > 100).astype(np.uint8) for part, images in IMAGES.items()}
PIXELS = ("--scaling", "pixels", "--recipe", "none", "--hidden", "", "--epochs", 1, "--quiet")


def idx(array):
    lengths = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return bytes([0, 0, 8, array.ndim]) + lengths + array.tobytes()


def frame(images, **columns):
    pixels = images.reshape(len(images), -1).T
    return polars.DataFrame({f"p{k}": column for k, column in enumerate(pixels)} | columns)


TABLES = {
    ".csv": lambda table, path: table.write_csv(path),
    ".tsv": lambda table, path: table.write_csv(path, separator="\t"),
    ".csv.gz": lambda table, path: path.write_bytes(gzip.compress(table.write_csv().encode())),
    ".parquet": lambda table, path: table.write_parquet(path),
    ".feather": lambda table, path: table.write_ipc(path),
}


def write_npy(folder, parts):
    folder.mkdir()
    for name, array in arrays(parts).items():
        np.save(folder / f"{name}.npy", array)


def write_idx(folder, parts):
    folder.mkdir()
    for part in parts:
        for name, array in zip(IDX_NAMES[part], (IMAGES[part], LABELS[part]), strict=True):
            (folder / name).write_bytes(idx(array))


def write_pickle(path, parts):
    pairs = [(IMAGES[part].reshape(-1, 9) / np.float32(256), LABELS[part]) for part in parts]
    path.write_bytes(gzip.compress(pickle.dumps(pairs, 4)))


def arrays(parts):
    """The arrays of an .npz file."""
    ends = {part: "" if part == "train" else f"_{part}" for part in parts}
    return {f"X{end}": IMAGES[part] for part, end in ends.items()} | {
        f"y{end}": LABELS[part] for part, end in ends.items()
    }


FORMS = {
    "folder of npy": (("train", "test"), write_npy),
    "folder of idx": (("train", "test"), write_idx),
    "classic.pkl.gz": (("train", "validation", "test"), write_pickle),
    **{
        f"table{end}": (
            ("train",),
            lambda path, parts, save=save: save(frame(IMAGES["train"], y=LABELS["train"]), path),
        )
        for end, save in TABLES.items()
    },
}


@pytest.mark.parametrize("name", FORMS)
def test_what_is_trained_on_is_what_arrays_would_be(told, tmp_path, name):
    """To the hash of the parameters, and to the measures of the same file later."""
    parts, write = FORMS[name]
    write(tmp_path / name, parts)
    np.savez(tmp_path / "all.npz", **arrays(parts))
    found = []
    for data in (tmp_path / "all.npz", tmp_path / name):
        run = tmp_path / f"run of {data.name}"
        outcome = told("train", "--data", data, *PIXELS, "--output", run)
        assert outcome.code == 0, outcome.err
        measured = told("evaluate", "--json", run, "--data", data)
        found.append(
            (
                content(run, "config.json")["data_sha256"],
                content(run, "summary.json")["parameters_sha256"],
                json.loads(measured.out),
            )
        )
    assert found[0] == found[1]


def test_values_may_be_tested_beside_pixels(told, tmp_path):
    """They have no unit, whatever the training part has."""
    losses = []
    for name, images in {"bytes": IMAGES["test"], "values": IMAGES["test"] / 256}.items():
        pairs = arrays(("train", "test")) | {"X_test": images}
        np.savez(tmp_path / f"{name}.npz", **pairs)
        options = ("--data", tmp_path / f"{name}.npz", "--output", tmp_path / name)
        assert told("train", *PIXELS[2:], *options).code == 0
        losses.append(content(tmp_path / name, "summary.json")["test_loss"])
    assert losses[0] == losses[1]
