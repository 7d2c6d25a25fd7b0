"""Metrics, counted by hand."""

import numpy as np
import pytest

from pluggable_mlp.training.metrics import correct_predictions
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
