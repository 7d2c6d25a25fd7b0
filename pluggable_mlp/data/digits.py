"""The embedded digits: small enough to travel with the code.  `digits.txt` names their origin."""

from importlib.resources import as_file, files

import numpy as np

from pluggable_mlp.data.conversion import build_dataset, divide
from pluggable_mlp.data.dataset import Dataset
from pluggable_mlp.data.tables import read_csv_table

__all__ = ["load_digits"]

DIGIT_SCALE = 1 / 16
"""The pixels are 0 to 16."""


def load_digits() -> Dataset:
    """Return the 1,797 handwritten digits of 8 x 8 pixels: 1,541 for training, 256 for testing.

    Every seventh image is for testing.  The same 13 people wrote both parts, so the accuracy is
    higher than for digits of new writers.
    """
    with as_file(files(__package__) / "digits.csv.gz") as path:
        table = read_csv_table(str(path))
    train, test = divide(table[:, :-1].astype(np.uint8), table[:, -1])
    return build_dataset("digits", train, test, scale=DIGIT_SCALE)
