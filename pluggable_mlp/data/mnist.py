"""MNIST and Fashion-MNIST by name: where they are looked for, what proves them genuine.

What is nowhere is downloaded with pooch, an optional extra.  pooch compares hashes and keeps
nothing else; the mirrors are tried here, for pooch knows one address per file
(https://github.com/fatiando/pooch/issues/310).  The formats belong in `idx.py` and
`classic_pickle.py`.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.classic_pickle import read_classic_pickle
from pluggable_mlp.data.dataset import DataError, Source
from pluggable_mlp.data.files import GET_A_NEW_COPY
from pluggable_mlp.data.idx import FILE_NAMES, find_idx, idx_sha256, idx_source, read_idx
from pluggable_mlp.data.preprocessing import matched

__all__ = ["PUBLISHED", "Published", "cache_folder", "download", "load_named"]

ENVIRONMENT = "PLUGGABLE_MLP_DATA"
CLASSIC = "mnist.pkl.gz"

TIMEOUT_SECONDS = 30
LARGEST_DOWNLOAD = 64 * 2**20
CHUNK = 2**16


@dataclass(frozen=True)
class Published:
    """A published data set of four IDX files.

    Parameters
    ----------
    mirrors : tuple of str
        The addresses of folders with the four gzipped files, each with a "/" at its end.
    gzip_sha256 : dict of str
        The SHA-256 of each file, gzipped as it is published, by the keys of `FILE_NAMES`.
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
    published = PUBLISHED[name]
    places = [place for place in os.environ.get(ENVIRONMENT, "").split(os.pathsep) if place]
    for place in [*places, cache_folder()]:
        folder, classic = os.path.join(place, name), os.path.join(place, CLASSIC)
        paths = [find_idx(folder, file_name) for file_name in FILE_NAMES.values()]
        if all(paths):
            return _from_idx(name, folder, published)
        if name == "mnist" and os.path.isfile(classic):
            return _from_classic(name, classic, published)
    folder = os.path.join(cache_folder(), name)
    download(name, folder, published)
    return _from_idx(name, folder, published)


def cache_folder() -> str:
    """Return the folder of this project among the user's caches, as the platform has it."""
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        return str(Path(os.environ.get("LOCALAPPDATA", home), "pluggable-mlp", "Cache"))
    if sys.platform == "darwin":
        return str(home / "Library" / "Caches" / "pluggable-mlp")
    return str(Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache", "pluggable-mlp"))


def _from_idx(name: str, folder: str, published: Published) -> Source:
    arrays = {}
    for field, file_name in FILE_NAMES.items():
        path = find_idx(folder, file_name) or os.path.join(folder, file_name)
        arrays[field] = read_idx(path)
        _check(path, field, arrays[field], published)
    return idx_source(name, arrays)


def _from_classic(name: str, path: str, published: Published) -> Source:
    source = read_classic_pickle(path)
    given = {part: matched(path, part, split) for part, split in source.splits.items()}
    if not all(
        x.dtype == np.uint8 and x.shape[1:] == (784,) and y.min() >= 0 and y.max() < 256
        for x, y in given.values()
    ):
        raise DataError(path, "does not hold MNIST's images", GET_A_NEW_COPY)
    train, validation, test = (given[part] for part in ("train", "validation", "test"))
    arrays = {
        "train_inputs": np.concatenate([train.inputs, validation.inputs]),
        "train_labels": np.concatenate([train.targets, validation.targets]),
        "test_inputs": test.inputs,
        "test_labels": test.targets,
    }
    for field, values in arrays.items():
        shape = (-1, 28, 28) if field.endswith("inputs") else (-1,)
        arrays[field] = values.astype(np.uint8).reshape(shape)
        _check(path, field, arrays[field], published)
    return idx_source(name, arrays)


def _check(path: str, field: str, values: Array, published: Published) -> None:
    found = idx_sha256(values)
    if found != published.sha256[field]:
        raise DataError(
            path,
            f"the {field.replace('_', ' ')} have SHA-256 {found}, "
            f"the published ones {published.sha256[field]}",
            "remove the file or get a new copy; to use other data, give their path",
        )


def download(name: str, folder: str, published: Published) -> None:
    """Download the files that are not in the folder yet; keep only those with the right hash.

    Parameters
    ----------
    name : str
        The name of the data set, for errors.
    folder : str
        Is made if need be.
    published : Published
        Where the files are, tried in order, and their hashes.

    Raises
    ------
    DataError
        If pooch is not installed, no mirror gives a genuine file, or the folder cannot be
        written to; says where to put which file.
    """
    missing = [
        (field, f"{file_name}.gz")
        for field, file_name in FILE_NAMES.items()
        if find_idx(folder, file_name) is None
    ]
    files = ", ".join(file_name for _, file_name in missing)
    remedy = (
        f"put {files} (from {published.mirrors[0]}) into {folder}, or into the sub-folder {name} "
        "of a folder named by PLUGGABLE_MLP_DATA"
    )
    try:
        import pooch
    except ImportError:
        fault = "is not on this machine, and downloading it needs pooch"
        install = "python -m pip install 'pluggable-mlp[download]'"
        raise DataError(name, fault, f"{install}, or {remedy}") from None
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise DataError(name, f"could not be saved: {error}", remedy) from error
    downloader = pooch.HTTPDownloader(timeout=TIMEOUT_SECONDS, chunk_size=CHUNK)
    for field, file_name in missing:
        retrieve = partial(
            pooch.retrieve,
            known_hash=f"sha256:{published.gzip_sha256[field]}",
            fname=file_name,
            path=folder,
            downloader=partial(_save, downloader),
        )
        faults = _try_mirrors(retrieve, [mirror + file_name for mirror in published.mirrors])
        if faults:
            raise DataError(name, f"could not be downloaded ({' | '.join(faults)})", remedy)


def _try_mirrors(retrieve: Callable[[str], str], urls: list[str]) -> list[str]:
    """Save a file from the first address that has it; return what was wrong with all if none."""
    faults = []
    for url in urls:
        try:
            retrieve(url)
        except (OSError, ValueError) as error:  # what requests raises are OSErrors
            faults.append(f"{url}: {error}")
        else:
            return []
    return faults


def _save(downloader: Any, url: str, path: str, registry: Any) -> None:
    """Download to a file, up to a limit."""
    with open(path, "wb") as file:
        downloader(url, _Sink(file), registry)


class _Sink:
    """Writes to a file up to a limit."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.remaining = file, LARGEST_DOWNLOAD

    def write(self, data: bytes) -> None:
        self.remaining -= len(data)
        if self.remaining < 0:
            raise OSError(f"sends more than {LARGEST_DOWNLOAD} bytes")
        self.file.write(data)

    def flush(self) -> None:
        self.file.flush()
