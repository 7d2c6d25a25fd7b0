"""Metrics, counted by hand."""

import numpy as np
import pytest

from pluggable_mlp.namespaces import ARITHMETICS, arithmetic_namespace
from pluggable_mlp.training.metrics import (
    confusion_matrix,
    correct_labels,
    correct_predictions,
    macro_f1,
    mean_absolute_error,
    r2,
    top_k_accuracy,
)
from tests.network.reference import one_hot

LOGITS = np.asarray([[0.0, 3.0, 1.0], [5.0, -1.0, 2.0], [1.0, 2.0, 3.0], [-3.0, -2.0, -1.0]])
LABELS = np.asarray([1, 0, 0, 2])  # the third is wrong


@pytest.mark.parametrize("rows", [False, True], ids=["indices", "rows"])
def test_correct_predictions(backend, rows):
    labels = one_hot(LABELS, 3) if rows else LABELS
    count = correct_predictions(backend.xp, backend.asarray(LOGITS), backend.asarray(labels))
    assert count.shape == ()
    assert int(count) == 3


@pytest.mark.parametrize("rows", [False, True], ids=["indices", "rows"])
def test_leading_axes_are_networks(backend, rows):
    logits = np.stack([LOGITS, -LOGITS])  # the second has its largest where the first is smallest
    of = one_hot(LABELS, 3) if rows else LABELS
    count = correct_predictions(
        backend.xp, backend.asarray(logits), backend.asarray(np.stack([of, of]))
    )
    assert backend.to_numpy(count).tolist() == [3, 1]


@pytest.mark.parametrize(
    "classes_first", [True, False], ids=["the first wins", "the last is right"]
)
def test_of_equal_logits_the_first_counts_as_the_larger(backend, classes_first):
    """Example by example: a tie between places 0 and 1, and the label is one or the other."""
    label = 0 if classes_first else 1
    logits, labels = backend.asarray(np.asarray([[1.0, 1.0, 0.0]])), backend.asarray([label])
    for k, expected in ((1, float(classes_first)), (2, 1.0), (3, 1.0)):
        assert float(top_k_accuracy(backend.xp, logits, labels, k)) == expected
    assert int(correct_predictions(backend.xp, logits, labels)) == int(classes_first)


def test_nan_is_never_right(backend):
    logits = np.asarray([[np.nan, 1.0, 0.0], [np.nan] * 3])
    for row, label in ((0, 0), (1, 0), (1, 2)):
        of = backend.asarray(logits[row : row + 1]), backend.asarray([label])
        assert [float(top_k_accuracy(backend.xp, *of, k)) for k in (1, 2)] == [0.0, 0.0]


@pytest.mark.parametrize("k", [0, 4])
def test_a_k_that_no_example_can_have_is_refused(backend, k):
    logits, labels = backend.asarray(LOGITS), backend.asarray(LABELS)
    with pytest.raises(ValueError, match=f"k is {k}, expected 1 to 3"):
        top_k_accuracy(backend.xp, logits, labels, k)


def test_correct_labels_at_the_edge(backend):
    """A logit of 0, a probability of exactly 1/2, says no; so does a label of exactly 1/2."""
    logits = np.asarray([[0.0], [0.0], [2.0**-60], [2.0**-60]])
    for labels, expected in (([0, 1, 1, 0], [1, 0, 1, 0]), ([0.5] * 4, [1, 1, 0, 0])):
        counts = [
            int(correct_labels(backend.xp, backend.asarray(z[None]), backend.asarray([label])))
            for z, label in zip(logits, labels, strict=True)
        ]
        assert counts == expected


def test_correct_labels_are_all_labels_of_an_example(backend):
    """All right, one of them wrong, all wrong."""
    logits = backend.asarray(np.asarray([[2.0, -1.0], [2.0, 1.0], [-2.0, 1.0]]))
    labels = backend.asarray(np.asarray([[1, 0]] * 3))
    assert int(correct_labels(backend.xp, logits, labels)) == 1


# Class 3 neither occurs nor is predicted; class 2 occurs and is never predicted.
OCCURRED, PREDICTED = np.asarray([0, 0, 0, 1, 1, 2]), np.asarray([0, 0, 1, 1, 0, 0])
CONFUSION = [[2, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


def test_confusion_matrix_by_hand(backend):
    """A row for each label that occurred, a column for each that was predicted."""
    arrays = backend.asarray(PREDICTED), backend.asarray(OCCURRED)
    matrix = confusion_matrix(backend.xp, *arrays, 4)
    assert matrix.dtype == backend.xp.int64
    assert backend.to_numpy(matrix).tolist() == CONFUSION


@pytest.mark.parametrize("name", ARITHMETICS)
def test_macro_f1_by_hand(backend, name):
    """F1 is 4 / 7 (two hits, two false positives, one miss), 2 / 4 and 0: 5 / 14 on average."""
    xp = arithmetic_namespace(name, backend.xp)
    score = macro_f1(xp, xp.asarray(backend.asarray(CONFUSION)))
    assert float(score) == pytest.approx(5 / 14, rel=12 * 2.0**-53)


# Sums of squares about the means 2.5 and 1 are 5 and 12, of the errors 4 and 9.
TARGETS = np.asarray([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [4.0, 4.0]])
GUESSES = np.asarray([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [6.0, 1.0]])


@pytest.mark.parametrize("name", ARITHMETICS)
def test_r2_and_mean_absolute_error_by_hand(backend, name):
    xp = arithmetic_namespace(name, backend.xp)
    for columns, of_r2, error in (
        (slice(0, 1), 1 - 4 / 5, 2 / 4),
        (slice(1, 2), 1 - 9 / 12, 3 / 4),
        (slice(0, 2), (1 / 5 + 1 / 4) / 2, 5 / 8),
    ):
        arrays = [xp.asarray(backend.asarray(of[:, columns])) for of in (GUESSES, TARGETS)]
        assert float(r2(xp, *arrays)) == pytest.approx(of_r2, rel=16 * 2.0**-53)
        assert float(mean_absolute_error(xp, *arrays)) == error


@pytest.mark.parametrize("off", [0.0, 1.0])
def test_r2_of_constant_targets(backend, off):
    targets = np.full((4, 1), 2.0)
    ours = r2(backend.xp, backend.asarray(targets + off), backend.asarray(targets))
    assert float(ours) == 1.0 - off
