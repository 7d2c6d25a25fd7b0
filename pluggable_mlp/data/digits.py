"""The embedded digits: small enough to travel with the code.  `digits.txt` names their origin."""

from importlib.resources import as_file, files

import numpy as np

from pluggable_mlp.data.dataset import Source, Split
from pluggable_mlp.data.numpy_files import read_npz_arrays

__all__ = ["load_digits"]

DIGIT_SCALE = 1 / 16
"""The pixels are 0 to 16."""


def load_digits() -> Source:
    """Return the 1,797 handwritten digits of 8 x 8 pixels: 1,541 for training, 256 for testing.

    Every seventh image is for testing, whatever the seed.  Seven is a prime: the digits begin
    0 1 2 ... 9 0 1 2 ... 9, and every class occurs in both parts.  The same 13 people wrote both,
    so the accuracy is higher than for digits of new writers.
    """
    with as_file(files(__package__) / "digits.npz") as path:
        inputs, labels = read_npz_arrays(str(path), ["X", "y"]).values()
    test = np.arange(len(labels)) % 7 == 6
    train = Split(inputs[~test], labels[~test])
    splits = {"train": train, "test": Split(inputs[test], labels[test])}
    return Source("digits", splits, pixel_scale=DIGIT_SCALE)
