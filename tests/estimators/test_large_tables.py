"""Estimators for tables whose features are more than is held in memory: codes until the block."""

import numpy as np
import pytest

from pluggable_mlp import TableClassifier, plan
from pluggable_mlp.data import split
from pluggable_mlp.data.columns import EncodedArray
from pluggable_mlp.host import lazy
from pluggable_mlp.training import streaming as of_training

pl = pytest.importorskip("polars")


def coded(rows, categories):
    texts = [f"c{i % categories}" for i in range(rows)]
    table = pl.DataFrame({"text": texts, "number": np.cos(np.arange(rows))})
    return table, np.arange(rows) % categories % 3


@pytest.fixture
def taken(monkeypatch):
    """How many rows at a time are made of codes, where all features are made."""
    monkeypatch.setattr(lazy, "_BYTES_AT_ONCE", 50 * 21 * 8)
    found, take = [], EncodedArray.__getitem__

    def noting(self, rows):
        made = take(self, rows)
        found.append(len(made))
        return made

    monkeypatch.setattr(EncodedArray, "__getitem__", noting)
    return found


def test_categories_are_codes_until_the_rows_have_their_dtype(monkeypatch, taken):
    """A matrix of float64 has some rows at a time, which are copied to one of float32."""
    seen, make = [], plan.make_examples

    def noting(mlp, inputs, *others, **named):
        seen.append(inputs)
        return make(mlp, inputs, *others, **named)

    monkeypatch.setattr(plan, "make_examples", noting)
    TableClassifier(max_iter=1, n_members=1, random_state=0).fit(*coded(700, 20))
    assert isinstance(seen[0], np.ndarray)
    assert seen[0].dtype == np.float32
    assert max(taken) == 50


def test_categories_of_a_large_table_are_codes_until_the_block(monkeypatch, taken):
    monkeypatch.setattr(split, "LARGEST_IN_MEMORY", 0)
    monkeypatch.setattr(split, "BYTES_PER_BLOCK", 300 * 21 * 8)
    monkeypatch.setattr(of_training, "_BYTES_AT_ONCE", 50 * 21 * 8)
    X, y = coded(700, 20)
    TableClassifier(max_iter=1, n_members=1, random_state=0).fit(X, y)
    assert max(taken) <= 300


def test_a_large_table_of_one_block_is_fitted_as_in_memory(monkeypatch):
    X, y = coded(700, 20)
    model = TableClassifier(max_iter=2, n_members=1, random_state=0, arithmetic="reproducible")
    expected = model.fit(X, y).predict_proba(X)
    monkeypatch.setattr(split, "LARGEST_IN_MEMORY", 0)
    assert np.array_equal(model.fit(X, y).predict_proba(X), expected)
