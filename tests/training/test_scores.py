"""Scores at the end of a run, where a label neither occurs nor is predicted."""

import numpy as np

from pluggable_mlp import MLP
from pluggable_mlp.training.evaluation import measure
from pluggable_mlp.training.examples import make_examples


def test_a_label_that_is_nowhere_counts_as_0(backend):
    """As scikit-learn's f1_score does with a warning; the other label's F1 is 2 / (2 + 1)."""
    mlp = MLP([2, 2], loss="sigmoid_cross_entropy")
    W, b = np.zeros((2, 2)), np.array([-5.0, 5.0])
    parameters = [{"W": backend.asarray(W), "b": backend.asarray(b)}]
    targets = np.array([[0, 1], [0, 0]])
    examples = make_examples(mlp, np.zeros((2, 2)), targets, backend=backend, dtype="float64")
    scores, _ = measure(mlp, parameters, examples, backend=backend, arithmetic="native")
    assert (scores["hamming_loss"], scores["accuracy"]) == (0.25, 0.5)
    assert abs(scores["macro_f1"] - 1 / 3) <= 2.0**-53
