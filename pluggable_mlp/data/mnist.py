"""Data sets by name: the embedded digits, MNIST and Fashion-MNIST.

What is nowhere on this machine is downloaded with pooch, an optional extra, from the first mirror
that has it (pooch knows one address per file: https://github.com/fatiando/pooch/issues/310).
"""

import hashlib
import os
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.arrays import (
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
from pluggable_mlp.data.reading import GET_A_NEW_COPY

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
    gzip_sha256 : dict of str
        The SHA-256 of each file, gzipped as it is published, by the keys of `IDX_NAMES`.
    sha256 : dict of str
        The same, uncompressed.
    """

    mirrors: tuple[str, ...]
    gzip_sha256: dict[str, str]
    sha256: dict[str, str]


PUBLISHED = {
    "mnist": Published(
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        gzip_sha256={
            "train_inputs": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "train_labels": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "test_inputs": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "test_labels": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
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
        gzip_sha256={
            "train_inputs": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "train_labels": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "test_inputs": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "test_labels": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
        sha256={
            "train_inputs": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train_labels": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "test_inputs": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "test_labels": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
    ),
}
"""Where the four IDX files are published, and the SHA-256 of each, uncompressed."""


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

    Looked for in each folder of the environment variable PLUGGABLE_MLP_DATA and then in the
    user's cache folder: a sub-folder of that name with the four IDX files or, for MNIST,
    `mnist.pkl.gz` (whose training and validation parts are the 60,000).  What is nowhere is
    downloaded to the cache.  Wherever they come from, the images and labels are compared with
    the SHA-256 of the published files, and are the same.

    Parameters
    ----------
    name : {"mnist", "fashion-mnist"}

    Raises
    ------
    DataError
        If the data are damaged, or neither here nor to be had; says what to put where.
    """
    places = [place for place in os.environ.get(ENVIRONMENT, "").split(os.pathsep) if place]
    for place in [*places, cache_folder()]:
        folder, classic = os.path.join(place, name), os.path.join(place, CLASSIC)
        if all(find_idx(folder, file_name) for file_name in IDX_NAMES.values()):
            return _from_idx(name, folder)
        if name == "mnist" and os.path.isfile(classic):
            return _from_classic(name, classic)
    folder = os.path.join(cache_folder(), name)
    _download(name, folder)
    return _from_idx(name, folder)


def cache_folder() -> str:
    """Return the folder of this project among the user's caches, as pooch would have it."""
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        return str(Path(os.environ.get("LOCALAPPDATA", home), "pluggable-mlp", "Cache"))
    if sys.platform == "darwin":
        return str(home / "Library" / "Caches" / "pluggable-mlp")
    return str(Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache", "pluggable-mlp"))


def _from_idx(name: str, folder: str) -> Source:
    arrays = {}
    for field, file_name in IDX_NAMES.items():
        path = find_idx(folder, file_name) or os.path.join(folder, file_name)
        arrays[field] = _genuine(name, path, field, read_idx(path))
    return idx_source(name, arrays)


def _from_classic(name: str, path: str) -> Source:
    train, validation, test = splits = [*read_arrays(path).splits.values()]
    if not all(x.dtype == np.uint8 and y.dtype.kind in "iu" for x, y in splits):
        raise DataError(path, "does not hold MNIST's images and labels", GET_A_NEW_COPY)
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


def _download(name: str, folder: str) -> None:
    """Download the files that are not in the folder yet; keep only those with the right hash."""
    published = PUBLISHED[name]
    missing = {f: n for f, n in IDX_NAMES.items() if find_idx(folder, n) is None}
    listed = ", ".join(f"{file_name}.gz" for file_name in missing.values())
    remedy = (
        f"put {listed} (from {published.mirrors[0]}) into {folder}, or into the sub-folder {name} "
        f"of a folder named by {ENVIRONMENT}"
    )
    try:
        import pooch
    except ImportError:
        fault = "is not on this machine, and downloading it needs pooch"
        install = "python -m pip install 'pluggable-mlp[download]'"
        raise DataError(name, fault, f"{install}, or {remedy}") from None
    registry = {f"{n}.gz": f"sha256:{published.gzip_sha256[f]}" for f, n in missing.items()}
    downloader = pooch.HTTPDownloader(timeout=TIMEOUT_SECONDS)
    for file_name in registry:
        faults = []
        for mirror in published.mirrors:
            try:
                pooch.create(folder, mirror, registry=registry).fetch(
                    file_name, downloader=downloader
                )
                break
            except (OSError, ValueError) as error:  # what requests raises are OSErrors
                faults.append(f"{mirror}: {error}")
        else:
            raise DataError(name, f"could not be downloaded ({' | '.join(faults)})", remedy)
