"""The quantile transform and the smooth clip: against scikit-learn and arithmetic by hand."""

import math
import statistics

import msgspec
import numpy as np
import pytest

from pluggable_mlp.data.build import build_dataset
from pluggable_mlp.data.errors import DataWarning
from pluggable_mlp.data.preparation import Preparation
from pluggable_mlp.data.scaling import QuantileTransform, bin_edges, fit_quantiles
from pluggable_mlp.data.values import Split
from pluggable_mlp.host.randomness import normal
from pluggable_mlp.options import DataOptions
from tests.published import recorded

pytest.importorskip("polars")
QuantileTransformer = pytest.importorskip("sklearn.preprocessing").QuantileTransformer

from tests.data.frames import frame_of  # noqa: E402 (polars)


def rounded(rows, seed):
    """Values of which many are equal, and values of which none are."""
    rng = np.random.default_rng(seed)
    return np.stack([np.round(rng.normal(size=rows), 1), rng.normal(size=rows) ** 3], axis=1)


def test_it_transforms_as_scikit_learn_does_by_the_same_quantiles():
    """Also where the least and the largest value are frequent."""
    theirs = QuantileTransformer(n_quantiles=30, output_distribution="normal", subsample=None)
    values, later = rounded(900, 0), rounded(500, 1) * 1.5
    values, later = (np.hstack([of, np.clip(of, -1.0, 1.0)]) for of in (values, later))
    theirs.fit(values)
    ours = QuantileTransform(tuple(map(tuple, theirs.quantiles_.T.tolist())))
    np.testing.assert_allclose(
        ours.apply_in_place(later.copy()), theirs.transform(later), rtol=1e-12, atol=1e-12
    )


def test_it_is_fitted_as_scikit_learn_fits_it_to_the_same_noisy_values():
    """As the authors of TabM do."""
    values, later = rounded(900, 3), rounded(500, 4) * 1.5
    theirs = QuantileTransformer(n_quantiles=30, output_distribution="normal", subsample=None)
    theirs.fit(values + 1e-5 * normal(5, "quantiles", 0, values.shape))
    ours = fit_quantiles(values, seed=5)
    np.testing.assert_allclose(
        ours.apply_in_place(later.copy()), theirs.transform(later), rtol=1e-9, atol=1e-9
    )


def test_a_frequent_least_value_is_no_end():
    """Of 0 in 60 % of the rows the middle is at 30 %; without noise it is the first quantile."""
    values = np.concatenate([np.zeros(600), np.arange(1.0, 401.0)])[:, None]
    for seed in range(5):
        found = fit_quantiles(values, seed).apply_in_place(np.array([[0.0], [-1.0]]))
        assert found[0, 0] == pytest.approx(statistics.NormalDist().inv_cdf(0.3), abs=0.2)
        assert found[1, 0] == pytest.approx(statistics.NormalDist().inv_cdf(1e-7), abs=1e-6)


def test_edges_are_quantiles_of_distinct_values():
    values = np.array([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0], [4.0, 7.0], [8.0, 9.0]])
    assert bin_edges(values, 2) == ((0.0, 2.0, 8.0), (5.0, 7.0, 9.0))
    assert bin_edges(values, 48) == ((0.0, 1.0, 2.0, 4.0, 8.0), (5.0, 7.0, 9.0))
    assert bin_edges(np.array([[3.0], [3.0]]), 2) == ((3.0, 4.0),)


def test_edges_agree_with_rtdl_num_embeddings_of_distinct_values():
    values = rounded(200, 5)

    def compute():
        import torch
        from rtdl_num_embeddings import compute_bins

        columns = [torch.unique(torch.tensor(column))[:, None] for column in values.T]
        bins = [compute_bins(column, n_bins=min(48, len(column) - 1))[0] for column in columns]
        return {str(place): edges.tolist() for place, edges in enumerate(bins)}

    expected = [*recorded("edges, float32", "rtdl_num_embeddings", compute).values()]
    assert len(expected[0]) < len(expected[1]) == 49
    for edges, theirs in zip(bin_edges(values, 48), expected, strict=True):
        np.testing.assert_allclose(edges, theirs, rtol=1e-5, atol=1e-5)


TABLE = frame_of(
    number=[0, 1, 2, 3, 100],
    rare=[7, 7, 7, 7, 9],
    constant=[0] * 5,
    sex=["f", "m", "m", None, "f"],
    city=["a", "b", "c", None, "a"],
)


def prepared(recipe):
    targets = np.array([0, 1, 0, 1, 0])
    source = {"train": Split(TABLE, targets)}
    with pytest.warns(DataWarning, match=r"not used: 'constant' \(it is 0 in all rows\)"):
        return build_dataset(source, DataOptions(validation=0.0, test_share=0.0, recipe=recipe))


def clipped(x):
    return x / math.sqrt(1 + (x / 3) ** 2)


def test_a_table_as_the_recipes_have_it():
    dataset = prepared("realmlp-td-s")
    number = [(x - 2) / 2 for x in (0, 1, 2, 3, 100)]  # median 2, quartiles 1 and 3
    rare = [0, 0, 0, 0, 2]  # quartiles 7 and 7: half of the range from 7 to 9
    sex = [-1, 1, 1, 0, -1]  # median 0, quartiles -1 and 1
    of_cities = ([2, 0, 0, 0, 2], [0, 2, 0, 0, 0], [0, 0, 2, 0, 0])
    of_cities = ([1, 0, 0, 0, 1], *of_cities[1:])  # of a the quartiles are 0 and 1
    scaled = [number, rare, [x / 2 for x in sex], *of_cities]
    expected = np.array([[clipped(x) for x in column] for column in scaled]).T
    np.testing.assert_allclose(dataset.train.inputs, expected, rtol=1e-15)
    shown = [row.becomes for row in dataset.preparation.describe()]
    assert shown[2:4] == [
        "left out: it is 0 in all rows", "-1 for f, 1 for m, 0 for missing ones"
    ]  # fmt: skip


@pytest.mark.parametrize("recipe", ["realmlp-td-s", "tabm"])
def test_it_survives_json_and_later_rows_become_the_same(recipe):
    dataset = prepared(recipe)
    text = msgspec.json.encode(dataset.preparation.to_dict())
    again = Preparation.from_dict(msgspec.json.decode(text))
    assert again == dataset.preparation
    inputs = again.inputs("later", TABLE, "float64")[:]
    np.testing.assert_array_equal(inputs, dataset.train.inputs)


def test_only_numbers_are_transformed_to_quantiles():
    inputs = prepared("tabm").train.inputs
    assert inputs[:, 2].tolist() == [1, 0, 0, 0, 1]  # two categories are one-hot, too
    assert inputs[:, 3].tolist() == [0, 1, 1, 0, 0]
    assert inputs[:, 4:].sum(axis=1).tolist() == [1, 1, 1, 0, 1]
    assert inputs[0, 0] == pytest.approx(statistics.NormalDist().inv_cdf(1e-7), abs=1e-6)
