"""Which examples are for testing, where a source does not say."""

import hashlib

import numpy as np
import pytest

from pluggable_mlp.data import DataError
from pluggable_mlp.data.source import choose_test_examples


def test_one_of_seven_is_for_testing_in_the_same_share_of_every_class():
    labels = np.repeat([5, 1, 3], [70, 140, 700])
    test = choose_test_examples("example", labels, 0)
    assert test.dtype == np.bool_
    assert [int(test[labels == label].sum()) for label in (5, 1, 3)] == [10, 20, 100]
    # Sorted as the rows are, a division that did not shuffle would take every seventh.
    assert set(np.diff(np.flatnonzero(test))) > {6, 7, 8}


def test_the_division_is_that_of_the_seed():
    labels = np.arange(1000) % 10
    first, again, other = (choose_test_examples("example", labels, seed) for seed in (0, 0, 1))
    assert (first == again).all()
    assert 0 < (first & other).sum() < 60  # by chance: 142 / 7 = 20


def test_the_division_never_changes():
    """Recorded once: an old run must find its own test part again, on any machine."""
    chosen = choose_test_examples("example", np.arange(1000) % 10, 2**64 - 1)
    digest = hashlib.sha256(chosen.tobytes()).hexdigest()
    assert digest == "8ce29321890d91a1a0175e4f39ea56ec4f0c6a8d1a2ce0da2246e8ee479849fc"


@pytest.mark.parametrize("seed", range(20))
def test_training_sees_every_class(seed):
    labels = np.repeat(np.arange(12), [1, 1, 2, 2, 2, 2, 3, 3, 4, 5, 6, 7])
    test = choose_test_examples("example", labels, seed)
    assert test.any()
    assert set(labels[~test]) == set(labels)


@pytest.mark.parametrize(
    ("labels", "fault"),
    [
        ([0, 1] * 3, "holds 6 examples; give at least 7 of these: one of 7 is kept for testing"),
        (
            [0, 1, 2, 3, 4, 5, 5, 5],
            "holds 8 examples, 3 of them in classes of two or more; give at least 7 of these",
        ),
    ],
)
def test_too_few_examples_are_refused(labels, fault):
    with pytest.raises(DataError, match=f"example: {fault}"):
        choose_test_examples("example", np.asarray(labels), 0)
    assert choose_test_examples("example", np.asarray([0, 1] * 4)[:7], 0).sum() == 1
