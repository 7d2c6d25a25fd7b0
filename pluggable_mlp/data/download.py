"""Downloading published IDX files with pooch, an optional extra.

pooch compares their hashes and keeps nothing else; the mirrors are tried here, for pooch knows
one address a file (https://github.com/fatiando/pooch/issues/310).  Which data there are belongs
in `named.py`.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

from pluggable_mlp.data.errors import DataError
from pluggable_mlp.data.idx import FILE_NAMES, find_idx

__all__ = ["Published", "download"]

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
