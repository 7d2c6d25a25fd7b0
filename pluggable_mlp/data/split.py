"""Which examples train, test and validate, and which inputs are read a block at a time.

Inputs of .npy files can stay on disk if they are in C order; categories of a table can stay codes.
Targets are held in memory.

Shapes: n examples, inputs (n, ...), targets (n,) or (n, outputs), classes (n,).
"""

import itertools
import math
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.columns import EncodedArray
from pluggable_mlp.data.errors import DataError, warn
from pluggable_mlp.data.values import Split, Splits, Task, as_targets, is_frame, source_of
from pluggable_mlp.host.lazy import LazyArray, as_lazy
from pluggable_mlp.host.randomness import permutation
from pluggable_mlp.options import DataOptions

LARGEST_IN_MEMORY = 2**30
"""Bytes of inputs: larger ones stay in their file, or codes.

The same on every machine, since the order of the examples depends on the blocks.
"""

BYTES_PER_BLOCK = 2**26

TEST_SHARE = 1 / 7
"""The share of the examples for testing, where a source has no test part of its own."""

_PURPOSES = {"test": "split", "validation": "validation"}
"""The purpose of the random numbers that draw each part."""


def divide(
    whole: Splits,
    options: DataOptions,
    task: Task,
    usual_validation: float | None = None,
    groups: Array | None = None,
) -> tuple[dict[str, Split], dict[str, float | None]]:
    """Return all splits, and the shares that were drawn for "test" and "validation", or None.

    Sources without a validation part get the usual share, unless one is given.
    """
    name = source_of(options.data)
    validation, test_share = options.validation, options.test_share
    splits = {part: match_targets(name, part, split, task) for part, split in whole.items()}
    if "test" not in splits:
        usual = TEST_SHARE if options.test is None else 0.0
        test_share = usual if test_share is None else test_share
    elif test_share is not None:
        raise DataError(name, "has a test part of its own", "leave --test-share out")
    if validation and "validation" in splits:
        remedy = "leave --validation out, or give 0 to leave that part alone"
        raise DataError(name, "has a validation part of its own", remedy)
    is_usual = validation is None and "validation" not in splits
    shares = {"test": test_share, "validation": usual_validation if is_usual else validation}
    for part, share in shares.items():
        if share:
            inputs, targets = splits["train"]
            classes = targets if task == "classification" else np.zeros(len(targets), np.int64)
            may_be_empty = is_usual and part == "validation"
            chosen = choose_examples(name, part, classes, options.seed, share, groups, may_be_empty)
            if chosen.any():
                groups = None if groups is None else groups[~chosen]
                splits["train"] = Split(rows_of(inputs, ~chosen), targets[~chosen])
                splits[part] = Split(rows_of(inputs, chosen), targets[chosen])
    return splits, shares


def rows_of(inputs: Any, chosen: Array) -> Any:
    """Return the rows of an array, or of the columns of a table, that flags (n,) choose."""
    return inputs.filter(chosen) if is_frame(inputs) else inputs[chosen]


def match_targets(name: str, part: str, split: Split, task: Task = "classification") -> Split:
    """Return inputs (n, ...) as they are, and targets as `as_targets` makes them.

    Raises
    ------
    DataError
        If inputs and targets differ in number.
    """
    inputs, targets = split
    targets = as_targets(name, part, targets, task)
    if not inputs.shape or len(inputs) != len(targets):
        fault = f"the {part} inputs have shape {inputs.shape}, the targets {targets.shape}"
        raise DataError(name, fault, "give one target for each example")
    return Split(inputs, targets)


def choose_examples(
    name: str,
    part: str,
    classes: Array,
    seed: int,
    share: float = TEST_SHARE,
    groups: Array | None = None,
    may_be_empty: bool = False,
) -> Array:
    """Return which examples are for testing or validation: a share, stratified by class.

    The examples are shuffled by the seed, sorted by class, and a share of this order, evenly
    spaced, is chosen.  A class of one example is left to training.  Only the raw words of a
    counter-based generator and stable sorts are used: the same on every platform.

    Parameters
    ----------
    name : str
        The name of the source, for errors.
    part : {"test", "validation"}
    classes : array of int64, shape (n,)
        All the same if there are no classes.
    seed : int
    share : float, default 1/7
        Above 0, below 1.
    groups : array of int64, shape (n,), optional
        Numbers from 0 of the groups, which are chosen as a whole, without regard to classes: in an
        order shuffled by the seed, each that brings the chosen examples closer to the share.
    may_be_empty : bool, default False
        Whether too few examples cause a warning instead of an error; none are then chosen.

    Returns
    -------
    array of bool, shape (n,)

    Raises
    ------
    DataError
        If there are too few examples.
    """
    if groups is None:
        chosen = _draw_stratified(seed, part, classes, share)
    else:
        chosen = _draw_groups(seed, part, groups, share)
    if not chosen.any() or chosen.all():
        fault = f"{share:.3g} of {len(classes)} examples are {int(chosen.sum())} for {part}"
        if may_be_empty:
            warn(name, f"{fault}: the last epoch is kept, not the best")
            return np.zeros(len(classes), np.bool_)
        option = {"test": "--test-share"}.get(part, "--validation")
        least = next(n for n in itertools.count(math.floor(1 / share)) if n * share >= 1)
        more = "more groups" if groups is not None else f"{least} examples or more"
        if groups is None and len(classes) >= least:
            more = "classes of two examples or more"
        raise DataError(name, fault, f"give {more}, or another {option}")
    return chosen


def _draw_stratified(seed: int, part: str, classes: Array, share: float) -> Array:
    """Return which examples are in an evenly spaced share of each class: bool (examples,)."""
    _, places, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    order = permutation(seed, _PURPOSES[part], 0, len(classes))
    order = order[sizes[places[order]] > 1]
    order = order[np.argsort(places[order], kind="stable")]
    counts = np.floor(np.arange(len(order) + 1) * share)  # of the first 0, 1, 2, …
    chosen = np.zeros(len(classes), np.bool_)
    chosen[order[counts[1:] > counts[:-1]]] = True
    return chosen


def _draw_groups(seed: int, part: str, groups: Array, share: float) -> Array:
    """Return which examples are in the groups chosen for a share: bool (examples,)."""
    chosen, left = [], share * len(groups)
    sizes = np.bincount(groups)
    for group in permutation(seed, _PURPOSES[part], 0, len(sizes)).tolist():
        if sizes[group] < 2.0 * left:
            chosen.append(group)
            left -= sizes[group]
    return np.isin(groups, chosen)


def number_groups(groups: Iterable[Hashable]) -> Array:
    """Return a number from 0 for each of some values, by the order in which they first occur."""
    numbers: dict[Hashable, int] = {}
    return np.asarray([numbers.setdefault(one, len(numbers)) for one in groups])


def needs_blocks(inputs: Iterable[Any], block_size: int | None) -> bool:
    """Return whether inputs are taken a block at a time.

    Parameters
    ----------
    inputs : iterable of arrays
        Those of all splits.
    block_size : int or None
        0 for no; None if only when all together take more than `LARGEST_IN_MEMORY`.
    """
    if block_size is not None:
        return bool(block_size)
    size = sum(v.nbytes for v in inputs if isinstance(v, np.ndarray | EncodedArray))
    return size > LARGEST_IN_MEMORY


def keep_on_disk(splits: Splits, block_size: int | None) -> Splits:
    """Return splits whose inputs stay in their files if they need blocks."""
    if not needs_blocks((split.inputs for split in splits.values()), block_size):
        return splits
    return {part: Split(in_file(inputs), targets) for part, (inputs, targets) in splits.items()}


def block_of(inputs: Array) -> int:
    """Return how many examples a block of prepared inputs has; 0 if all are in memory."""
    if not isinstance(inputs, LazyArray):
        return 0
    row: int = math.prod(inputs.shape[1:]) * inputs.dtype.itemsize
    return max(1, BYTES_PER_BLOCK // row)


def in_file(values: Any) -> Any:
    """Return inputs that stay in their file, if they can; warn of those in Fortran order."""
    if not isinstance(values, np.memmap):
        return values
    if values.flags.f_contiguous and not values.flags.c_contiguous:
        doubt = "is in Fortran order, so all of it is held in memory"
        warn(str(values.filename), f"{doubt}; save numpy.ascontiguousarray(X)")
    return as_lazy(values)
