"""The embedded digits, against the library that they were copied from."""

import numpy as np
import pytest

from pluggable_mlp.data import load_dataset


def test_they_are_well_formed(check_rules):
    digits = load_dataset("digits")
    check_rules(digits)
    assert digits.name == "digits"
    assert (digits.scale, digits.outputs) == (1 / 16, 10)
    assert digits.train.inputs.shape == (1541, 64)
    assert digits.test.inputs.shape == (256, 64)
    assert digits.train.inputs.max() == digits.test.inputs.max() == 16
    # Every digit takes part in the test, none less than half as often as it should.
    assert np.bincount(digits.test.targets).min() >= 13
    assert np.bincount(digits.train.targets).min() >= 140


def test_they_agree_with_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets")
    oracle = datasets.load_digits()
    digits = load_dataset("digits")
    test = np.arange(1797) % 7 == 6
    np.testing.assert_array_equal(digits.train.inputs, oracle.data[~test])
    np.testing.assert_array_equal(digits.test.inputs, oracle.data[test])
    np.testing.assert_array_equal(digits.train.targets, oracle.target[~test])
    np.testing.assert_array_equal(digits.test.targets, oracle.target[test])
