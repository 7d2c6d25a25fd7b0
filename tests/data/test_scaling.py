"""Scaling: scikit-learn's scalers are the oracle; the bits are recorded."""

import hashlib

import numpy as np
import pytest

from pluggable_mlp.data import DataError, load_dataset
from pluggable_mlp.data.scaling import fit_scaling

preprocessing = pytest.importorskip("sklearn.preprocessing")

ORACLES = {
    "standard": preprocessing.StandardScaler(),
    "minmax": preprocessing.MinMaxScaler(),
    "robust": preprocessing.RobustScaler(),
}


def values(rows):
    """Features of several magnitudes, one that never varies."""
    drawn = np.random.default_rng(rows).normal(size=(rows, 4)) * [1, 1e6, 1e-6, 0]
    return drawn + np.array([0, 3e6, 1, 7])


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 7, 64, 1001])
@pytest.mark.parametrize("kind", ORACLES)
def test_it_agrees_with_scikit_learn(kind, rows):
    training, other = values(rows), values(rows + 1)
    scaling = fit_scaling("example", kind, training)
    oracle = ORACLES[kind].fit(training)
    np.testing.assert_allclose(scaling.apply(other), oracle.transform(other), rtol=1e-9, atol=1e-9)


def test_the_smooth_clip_of_scikit_learns_robust_scale():
    """z / sqrt(1 + (z/3)²) is 3 sin(arctan(z/3)); one feature never varies but in later rows."""
    training, later = values(1001), values(1002) + 0.5
    scaling = fit_scaling("example", "smooth_clip", training)
    robust = preprocessing.RobustScaler().fit(training).transform(later)
    expected = 3.0 * np.sin(np.arctan(robust / 3.0))
    np.testing.assert_allclose(scaling.apply(later), expected, rtol=1e-9, atol=1e-9)


def test_a_column_without_quartile_distance_is_divided_by_half_its_range():
    """The published robust scale, by hand, which what becomes an embedding does not have."""
    polars = pytest.importorskip("polars")
    places = np.concatenate([np.zeros(32, int), np.arange(9)])  # most rows have the first code
    rare = np.array([0.0] * 39 + [-1.0, 3.0])
    columns = {"rare": rare, "code": [f"c{place}" for place in places]}
    table = polars.DataFrame({**columns, "y": np.arange(41) % 2})
    whole, embedded = (
        load_dataset(table, recipe=recipe, validation=0, test_share=0).train.inputs
        for recipe in ("realmlp-td-s", "realmlp-td")
    )
    hot = places[:, None] == np.arange(9)
    scaled = np.column_stack([rare / 2.0, 2.0 * hot - 2.0 * hot[0]])  # half of 3 + 1, half of 1
    expected = scaled / np.sqrt(1.0 + (scaled / 3.0) ** 2)
    np.testing.assert_allclose(whole, expected, rtol=1e-15)
    np.testing.assert_allclose(embedded[:, 0], expected[:, 0], rtol=1e-15)
    np.testing.assert_array_equal(embedded[:, 1:] > 0.5, hot)


RECORDED = {
    "standard": "0642a9f13a88a5b4",
    "minmax": "842e5f136191ed4e",
    "robust": "e9198bfb0f2ad83d",
}


@pytest.mark.parametrize("kind", ORACLES)
def test_the_recorded_bits(kind):
    """On any machine and with any NumPy: recorded once."""
    data = load_dataset("digits", scaling=kind)
    found = hashlib.sha256(data.train.inputs.astype("<f8").tobytes()).hexdigest()
    assert found[:16] == RECORDED[kind]


def test_a_spread_beyond_float64_is_refused():
    with pytest.raises(DataError, match="example: holds 1e.300, whose standard scaling is beyond"):
        fit_scaling("example", "standard", np.array([[1e300], [-1e300], [0.0]]))
