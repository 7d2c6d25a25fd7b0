"""Downloading published IDX files with pooch, an optional extra.

Which data there are and what proves them genuine belongs in `named.py`.
"""

import os
import tempfile
from dataclasses import dataclass
from typing import Any, BinaryIO

from pluggable_mlp.data.errors import DataError
from pluggable_mlp.data.idx import FILE_NAMES, find_idx, idx_sha256, read_idx

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
    sha256 : dict of str
        The SHA-256 of each file, uncompressed, by the field of `Dataset` that it fills.
    """

    mirrors: tuple[str, ...]
    sha256: dict[str, str]


class _Sink:
    """Writes to a file what a server sends, up to a limit."""

    def __init__(self, url: str, file: BinaryIO) -> None:
        self.url, self.file, self.remaining = url, file, LARGEST_DOWNLOAD

    def write(self, data: bytes) -> None:
        self.remaining -= len(data)
        if self.remaining < 0:
            raise DataError(self.url, f"sends more than {LARGEST_DOWNLOAD} bytes", "try later")
        self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


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
        from pooch import HTTPDownloader
    except ImportError:
        fault = "is not on this machine, and downloading it needs pooch"
        install = "python -m pip install 'pluggable-mlp[download]'"
        raise DataError(name, fault, f"{install}, or {remedy}") from None
    downloader = HTTPDownloader(timeout=TIMEOUT_SECONDS, chunk_size=CHUNK)
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            for field, file_name in missing:
                path = os.path.join(scratch, file_name)
                _fetch(downloader, published.mirrors, path, published.sha256[field])
                os.replace(path, os.path.join(folder, file_name))
    except OSError as error:
        raise DataError(name, f"could not be saved: {error}", remedy) from error
    except DataError as error:
        raise DataError(name, f"could not be downloaded ({error})", remedy) from error


def _fetch(downloader: Any, mirrors: tuple[str, ...], path: str, sha256: str) -> None:
    """Save the first genuine copy of a file that a mirror has; tell of all that failed."""
    faults = []
    for mirror in mirrors:
        url = mirror + os.path.basename(path)
        try:
            with open(path, "wb") as file:
                downloader(url, _Sink(url, file), None)
            found = idx_sha256(read_idx(path))
        except (OSError, DataError) as error:  # what requests raises are OSErrors
            faults.append(f"{url}: {error}")
            continue
        if found == sha256:
            return
        faults.append(f"{url}: its SHA-256 is {found}, expected {sha256}")
    raise DataError(os.path.basename(path), " | ".join(faults), "no mirror has it")
