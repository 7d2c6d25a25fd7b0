"""Data sets by name: the embedded digits, MNIST and Fashion-MNIST.

Missing files are downloaded with pooch, an optional extra.
"""

import os
from typing import Any, NamedTuple

import numpy as np

from pluggable_mlp.data.arrays import IDX_NAMES, find_idx, read_arrays, read_idx_folder, read_npz
from pluggable_mlp.data.errors import DataError
from pluggable_mlp.data.values import Split, Splits
from pluggable_mlp.fields import require

ENVIRONMENT = "PLUGGABLE_MLP_DATA"
CLASSIC = "mnist.pkl.gz"
DIGIT_SCALE = 1 / 16
"""The pixels of the digits are 0 to 16."""


class Published(NamedTuple):
    """A published data set of four IDX files.

    Parameters
    ----------
    address : str
        Of a folder with the four gzipped files, with a "/" at its end.
    sha256 : tuple of str
        The SHA-256 of each gzipped file, in the order of `IDX_NAMES`.
    """

    address: str
    sha256: tuple[str, ...]


PUBLISHED = {
    "mnist": Published(
        address="https://ossci-datasets.s3.amazonaws.com/mnist/",
        sha256=(
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ),
    "fashion-mnist": Published(
        address="https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        sha256=(
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
}


def load_digits() -> Splits:
    """Return the 1,797 handwritten digits of 8 x 8 pixels: 1,541 for training, 256 for testing.

    Every seventh image is for testing, whatever the seed.  Seven is a prime: the digits begin
    0 1 2 ... 9 0 1 2 ... 9, and every class occurs in both parts.  The same 13 people wrote both,
    so the accuracy is higher than for digits of new writers.  `digits.txt` names their origin.
    """
    path = os.path.join(os.path.dirname(__file__), "digits.npz")
    inputs, labels = read_npz(path, ["X", "y"]).values()
    test = np.arange(len(labels)) % 7 == 6
    parts = {"train": ~test, "test": test}
    return {part: Split(inputs[rows], labels[rows]) for part, rows in parts.items()}


def load_named(name: str) -> Splits:
    """Return MNIST or Fashion-MNIST: 60,000 images for training, 10,000 for testing.

    They are looked for in the folder of the environment variable PLUGGABLE_MLP_DATA, by default the
    user's cache: in a sub-folder of that name with the four IDX files or, for MNIST, `mnist.pkl.gz`
    (whose training and validation parts are the 60,000).  Missing files are downloaded to it, if
    their SHA-256 is that of the published ones.

    Raises
    ------
    DataError
        If the data are damaged, or can be neither found nor downloaded.
    """
    place = os.environ.get(ENVIRONMENT) or str(_pooch(name).os_cache("pluggable-mlp"))
    folder, classic = os.path.join(place, name), os.path.join(place, CLASSIC)
    file_names = [file_name for pair in IDX_NAMES.values() for file_name in pair]
    hashes = dict(zip(file_names, PUBLISHED[name].sha256, strict=True))
    missing = [file_name for file_name in file_names if find_idx(folder, file_name) is None]
    if missing and name == "mnist" and os.path.isfile(classic):
        train, validation, test = read_arrays(classic).values()
        both = zip(train, validation, strict=True)
        return {"train": Split(*map(np.concatenate, both)), "test": test}
    for file_name in missing:
        file, address = f"{file_name}.gz", PUBLISHED[name].address
        try:
            _pooch(name).retrieve(address + file, hashes[file_name], file, folder)
            continue
        except (OSError, ValueError) as error:  # what requests raises are OSErrors
            fault = f"{file} could not be downloaded: {error}"
        raise DataError(name, fault, f"put it into {folder}")  # without the error's connection
    return read_idx_folder(folder)


def _pooch(name: str) -> Any:
    require("pooch", "download", f"{name} is not on this machine, and downloading it")
    import pooch

    return pooch
