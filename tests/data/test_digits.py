"""The embedded digits, against the library that they were copied from."""

import numpy as np
import pytest

from pluggable_mlp.data import load_dataset


def test_they_agree_with_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets")
    oracle = datasets.load_digits()
    digits = load_dataset("digits")
    test = np.arange(1797) % 7 == 6
    np.testing.assert_array_equal(digits.train.inputs, oracle.data[~test])
    np.testing.assert_array_equal(digits.test.inputs, oracle.data[test])
    np.testing.assert_array_equal(digits.train.targets, oracle.target[~test])
    np.testing.assert_array_equal(digits.test.targets, oracle.target[test])
