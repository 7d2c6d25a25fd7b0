"""What an epoch of `fit` costs on small data, where it is the Python code between operations."""

import sys

import pytest
from sklearn.datasets import load_iris

from pluggable_mlp import MLPClassifier

MOST_CALLS = 115
"""Of Python functions: one takes about half of the time of a small operation of NumPy."""


def python_calls(epochs):
    """How many Python functions a fit of so many epochs calls."""
    model = MLPClassifier(max_iter=epochs, random_state=0)
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        model.fit(*load_iris(return_X_y=True))
    finally:
        sys.setprofile(None)
    assert model.n_iter_ == epochs
    return calls


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_an_epoch_of_a_single_batch_is_few_calls():
    """With Adam, once the step is traced."""
    python_calls(60)
    assert python_calls(160) - python_calls(60) <= 100 * MOST_CALLS
