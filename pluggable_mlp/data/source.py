"""What a reader gives: arrays as their file holds them, and which of them are for testing.

How they become numbers for a network belongs in `conversion.py`.

Shapes: n examples, inputs (n, ...), targets (n, ...).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.dataset import Split
from pluggable_mlp.data.errors import DataError
from pluggable_mlp.randomness import permutation

__all__ = ["PIXEL_SCALE", "TEST_PERIOD", "Source", "choose_test_examples"]

PIXEL_SCALE = 1 / 256
"""The value of an 8-bit pixel is integer / 256: exact, unlike integer / 255."""

TEST_PERIOD = 7
"""One example of so many is for testing, where a source has no test part of its own."""


@dataclass(frozen=True, eq=False)
class Source:
    """Inputs and targets as a file holds them, neither converted nor checked.

    Parameters
    ----------
    name : str
        The file, folder or name of the data, for errors.
    splits : mapping of str to Split
        "train", and what the source keeps apart from it: "test", "validation".
    pixel_scale : float
        The value of one unit of a pixel, a power of two.
    """

    name: str
    splits: Mapping[str, Split]
    pixel_scale: float = PIXEL_SCALE


def choose_test_examples(name: str, classes: Array, seed: int) -> Array:
    """Return which examples are for testing: one of seven, in the same share of every class.

    The examples are shuffled by the seed, sorted by class, and every seventh of this order is
    for testing.  A class of one example is left to training.  Only the raw words of a
    counter-based generator and stable sorts are used: the same on every platform.

    Parameters
    ----------
    name : str
        Of the source, for errors.
    classes : array of int64, shape (n,)
        All the same where there are no classes.
    seed : int

    Returns
    -------
    array of bool, shape (n,)

    Raises
    ------
    DataError
        If there are too few examples.
    """
    _, places, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    order = permutation(seed, "split", 0, classes.shape[0])
    order = order[sizes[places[order]] > 1]
    if order.shape[0] < TEST_PERIOD:
        fault = f"holds {classes.shape[0]} examples"
        if order.shape[0] < classes.shape[0]:
            fault += f", {order.shape[0]} of them in classes of two or more"
        remedy = f"give at least {TEST_PERIOD} of these: one of {TEST_PERIOD} is kept for testing"
        raise DataError(name, fault, remedy)
    order = order[np.argsort(places[order], kind="stable")]
    chosen = np.zeros(classes.shape, dtype=np.bool_)
    chosen[order[TEST_PERIOD - 1 :: TEST_PERIOD]] = True
    return chosen
