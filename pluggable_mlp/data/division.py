"""Which examples are kept for testing or validation, where a source does not say so itself.

Shapes: n examples, classes (n,).
"""

import math

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.dataset import DataError
from pluggable_mlp.randomness import permutation

__all__ = ["TEST_SHARE", "choose_test_examples", "choose_validation_examples"]

TEST_SHARE = 1 / 7
"""The share of the examples for testing, where a source has no test part of its own."""


def choose_test_examples(name: str, classes: Array, seed: int, share: float = TEST_SHARE) -> Array:
    """Return which examples are for testing: by default every seventh, stratified by class.

    The examples are shuffled by the seed, sorted by class, and a share of this order, evenly
    spaced, is for testing.  A class of one example is left to training.  Only the raw words of a
    counter-based generator and stable sorts are used: the same on every platform.

    Parameters
    ----------
    name : str
        Of the source, for errors.
    classes : array of int64, shape (n,)
        All the same where there are no classes.
    seed : int
    share : float, default 1/7
        Above 0, below 1.

    Returns
    -------
    array of bool, shape (n,)

    Raises
    ------
    DataError
        If there are too few examples.
    """
    order = _by_class(seed, "split", classes)
    chosen = _share_of(order, share, classes.shape[0])
    if not chosen.any():
        fault = f"holds {classes.shape[0]} examples"
        if order.shape[0] < classes.shape[0]:
            fault += f", {order.shape[0]} of them in classes of two or more"
        remedy = f"give at least {math.ceil(1 / share)} of these: {share:.3g} are kept for testing"
        raise DataError(name, fault, f"{remedy} (see --test-share)")
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
    chosen = _share_of(order, share, classes.shape[0])
    if not chosen.any() or chosen.all():
        fault = f"{share:g} of {order.shape[0]} training examples are {int(chosen.sum())}"
        raise DataError(name, fault, "give more examples, or another --validation")
    return chosen


def _share_of(order: Array, share: float, examples: int) -> Array:
    """Return which examples a share of an order has, evenly spaced: bool (examples,)."""
    taken = np.floor(np.arange(order.shape[0] + 1) * share)  # of the first 0, 1, 2, …
    chosen = np.zeros(examples, dtype=np.bool_)
    chosen[order[taken[1:] > taken[:-1]]] = True
    return chosen


def _by_class(seed: int, purpose: str, classes: Array) -> Array:
    """Return examples shuffled by the seed, then sorted by class, without classes of one."""
    _, places, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    order = permutation(seed, purpose, 0, classes.shape[0])
    order = order[sizes[places[order]] > 1]
    return order[np.argsort(places[order], kind="stable")]
