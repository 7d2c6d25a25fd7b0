"""Which examples are kept for testing or validation, where a source does not say so itself.

Shapes: n examples, classes (n,).
"""

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.dataset import DataError
from pluggable_mlp.randomness import permutation

__all__ = ["TEST_PERIOD", "choose_test_examples", "choose_validation_examples"]

TEST_PERIOD = 7
"""One example of so many is for testing, where a source has no test part of its own."""


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
    order = _by_class(seed, "split", classes)
    if order.shape[0] < TEST_PERIOD:
        fault = f"holds {classes.shape[0]} examples"
        if order.shape[0] < classes.shape[0]:
            fault += f", {order.shape[0]} of them in classes of two or more"
        remedy = f"give at least {TEST_PERIOD} of these: one of {TEST_PERIOD} is kept for testing"
        raise DataError(name, fault, remedy)
    chosen = np.zeros(classes.shape, dtype=np.bool_)
    chosen[order[TEST_PERIOD - 1 :: TEST_PERIOD]] = True
    return chosen


def choose_validation_examples(name: str, classes: Array, seed: int, share: float) -> Array:
    """Return which training examples are for validation: a share of every class.

    They are drawn as those for testing are.

    Parameters
    ----------
    name : str
        Of the source, for errors.
    classes : array of int64, shape (n,)
        Of the examples for training; all the same where there are no classes.
    seed : int
    share : float
        Between 0 and 1.

    Returns
    -------
    array of bool, shape (n,)

    Raises
    ------
    DataError
        If there are too few examples.
    """
    order = _by_class(seed, "validation", classes)
    taken = np.floor(np.arange(order.shape[0] + 1) * share)  # of the first 0, 1, 2, …
    chosen = np.zeros(classes.shape, dtype=np.bool_)
    chosen[order[taken[1:] > taken[:-1]]] = True
    if not chosen.any() or chosen.all():
        fault = f"{share:g} of {order.shape[0]} training examples are {int(chosen.sum())}"
        raise DataError(name, fault, "give more examples, or another --validation")
    return chosen


def _by_class(seed: int, purpose: str, classes: Array) -> Array:
    """Return examples shuffled by the seed, then sorted by class, without classes of one."""
    _, places, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    order = permutation(seed, purpose, 0, classes.shape[0])
    order = order[sizes[places[order]] > 1]
    return order[np.argsort(places[order], kind="stable")]
