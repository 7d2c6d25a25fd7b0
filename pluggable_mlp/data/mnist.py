"""Data sets by name: the embedded digits, MNIST and Fashion-MNIST.

What is not on this machine is downloaded with pooch, an optional extra, from the first mirror that
has it (pooch knows one address per file: https://github.com/fatiando/pooch/issues/310).
"""

import hashlib
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.arrays import (
    GET_A_NEW_COPY,
    IDX_NAMES,
    find_idx,
    idx_header,
    idx_source,
    read_arrays,
    read_idx,
    read_npz,
)
from pluggable_mlp.data.dataset import Source, Split
from pluggable_mlp.data.errors import DataError

ENVIRONMENT = "PLUGGABLE_MLP_DATA"
CLASSIC = "mnist.pkl.gz"
DIGIT_SCALE = 1 / 16
"""The pixels of the digits are 0 to 16."""

TIMEOUT_SECONDS = 30


class Published(NamedTuple):
    """A published data set of four IDX files.

    Parameters
    ----------
    mirrors : tuple of str
        The addresses of folders with the four gzipped files, each with a "/" at its end.
    sha256 : dict of str
        The SHA-256 of each file, uncompressed, by the keys of `IDX_NAMES`.
    """

    mirrors: tuple[str, ...]
    sha256: dict[str, str]


PUBLISHED = {
    "mnist": Published(
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        sha256={
            "train_inputs": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train_labels": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "test_inputs": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "test_labels": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    ),
    "fashion-mnist": Published(
        mirrors=(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
        sha256={
            "train_inputs": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train_labels": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "test_inputs": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "test_labels": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
    ),
}


def load_digits() -> Source:
    """Return the 1,797 handwritten digits of 8 x 8 pixels: 1,541 for training, 256 for testing.

    Every seventh image is for testing, whatever the seed.  Seven is a prime: the digits begin
    0 1 2 ... 9 0 1 2 ... 9, and every class occurs in both parts.  The same 13 people wrote both,
    so the accuracy is higher than for digits of new writers.  `digits.txt` names their origin.
    """
    from importlib.resources import as_file, files  # they import more than this module

    with as_file(files(__package__) / "digits.npz") as path:
        inputs, labels = read_npz(str(path), ["X", "y"]).values()
    test = np.arange(len(labels)) % 7 == 6
    splits = {
        "train": Split(inputs[~test], labels[~test]),
        "test": Split(inputs[test], labels[test]),
    }
    return Source("digits", splits, pixel_scale=DIGIT_SCALE)


def load_named(name: str) -> Source:
    """Return MNIST or Fashion-MNIST: 60,000 images for training, 10,000 for testing.

    Looked for in the folder of the environment variable PLUGGABLE_MLP_DATA, by default the user's
    cache: a sub-folder of that name with the four IDX files or, for MNIST, `mnist.pkl.gz` (whose
    training and validation parts are the 60,000).  What is not there is downloaded to it.  The
    images and labels are compared with the SHA-256 of the published files, and are the same.

    Parameters
    ----------
    name : {"mnist", "fashion-mnist"}

    Raises
    ------
    DataError
        If the data are damaged, or neither here nor to be had; says what to put where.
    """
    place = os.environ.get(ENVIRONMENT) or cache_folder()
    folder, classic = os.path.join(place, name), os.path.join(place, CLASSIC)
    missing = [field for field, file_name in IDX_NAMES.items() if not find_idx(folder, file_name)]
    if missing and name == "mnist" and os.path.isfile(classic):
        return _from_classic(name, classic)
    if missing:
        _download(name, folder, missing)
    return idx_source(name, {field: _read(name, folder, field) for field in IDX_NAMES})


def cache_folder() -> str:
    """Return the folder of this project among the user's caches, as pooch would have it."""
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        return str(Path(os.environ.get("LOCALAPPDATA", home), "pluggable-mlp", "Cache"))
    if sys.platform == "darwin":
        return str(home / "Library" / "Caches" / "pluggable-mlp")
    return str(Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache", "pluggable-mlp"))


def _read(name: str, folder: str, field: str) -> Array:
    """Return what one of the four files holds."""
    path = find_idx(folder, IDX_NAMES[field]) or os.path.join(folder, IDX_NAMES[field])
    return _genuine(name, path, field, read_idx(path))


def _from_classic(name: str, path: str) -> Source:
    train, validation, test = read_arrays(path).splits.values()
    whole = {
        "train_inputs": [train.inputs, validation.inputs],
        "train_labels": [train.targets, validation.targets],
        "test_inputs": [test.inputs],
        "test_labels": [test.targets],
    }
    arrays = {}
    for field, values in whole.items():
        try:
            shape = (-1, 28, 28) if field.endswith("inputs") else (-1,)
            array = np.concatenate(values).astype(np.uint8).reshape(shape)
        except ValueError as error:  # of other shapes
            fault = f"does not hold MNIST's images and labels: {error}"
            raise DataError(path, fault, GET_A_NEW_COPY) from None
        arrays[field] = _genuine(name, path, field, array)
    return idx_source(name, arrays)


def _genuine(name: str, path: str, field: str, values: Array) -> Array:
    """Return an array; DataError where it is not what an IDX file of the published ones holds."""
    digest = hashlib.sha256(idx_header(values.shape))
    digest.update(np.ascontiguousarray(values).data)
    found, published = digest.hexdigest(), PUBLISHED[name].sha256[field]
    if found != published:
        fault = (
            f"the {field.replace('_', ' ')} have SHA-256 {found}, the published ones {published}"
        )
        remedy = "remove the file or get a new copy; to use other data, give their path"
        raise DataError(path, fault, remedy)
    return values


def _download(name: str, folder: str, missing: list[str]) -> None:
    """Download files to the folder, each from the first mirror that has the published one."""
    mirrors = PUBLISHED[name].mirrors
    files = {field: f"{IDX_NAMES[field]}.gz" for field in missing}
    remedy = (
        f"put {', '.join(files.values())} (from {mirrors[0]}) into {folder}, or into the "
        f"sub-folder {name} of a folder that {ENVIRONMENT} names"
    )
    try:
        import pooch
    except ImportError:
        fault = "is not on this machine, and downloading it needs pooch"
        install = "python -m pip install 'pluggable-mlp[download]'"
        raise DataError(name, fault, f"{install}, or {remedy}") from None
    downloader = pooch.HTTPDownloader(timeout=TIMEOUT_SECONDS)
    for field, file_name in files.items():
        faults = []
        for mirror in mirrors:
            url = mirror + file_name
            try:
                pooch.retrieve(url, None, file_name, folder, downloader=downloader)
                _read(name, folder, field)
                break
            except (OSError, ValueError) as error:  # what requests raises are OSErrors
                faults.append(f"{mirror}: {error}")
                with suppress(OSError):
                    os.unlink(os.path.join(folder, file_name))
        else:
            raise DataError(name, f"could not be downloaded ({' | '.join(faults)})", remedy)
