"""Estimators for tables whose features are more than is held in memory: codes until the block."""

import tracemalloc

import numpy as np
import pytest

from pluggable_mlp import TableClassifier
from pluggable_mlp.data import streaming
from tests.distributed.threads import on_threads

pl = pytest.importorskip("polars")


def coded(rows, categories):
    texts = [f"c{i % categories}" for i in range(rows)]
    table = pl.DataFrame({"text": texts, "number": np.cos(np.arange(rows))})
    return table, np.arange(rows) % categories % 3


def test_categories_are_codes_until_the_rows_have_their_dtype(monkeypatch):
    """Before training there is no matrix of float64: 2.7 matrices of float32 instead of 4.7."""
    rows, categories = 10_000, 500

    def measured(*_, **__):
        raise KeyboardInterrupt(tracemalloc.get_traced_memory()[1])

    monkeypatch.setattr("pluggable_mlp.estimators.table_base.fit_network", measured)
    tracemalloc.start()
    try:
        with pytest.raises(KeyboardInterrupt) as prepared:
            TableClassifier(random_state=0).fit(*coded(rows, categories))
    finally:
        tracemalloc.stop()
    assert prepared.value.args[0] < 3.5 * rows * categories * 4


@pytest.mark.slow
def test_categories_of_a_large_table_are_codes_until_the_block(monkeypatch):
    """Training and all: 40 MB, where all features take 80 in float32 and 160 in float64."""
    rows, categories = 20_000, 1000
    monkeypatch.setattr(streaming, "LARGEST_IN_MEMORY", rows * categories)
    monkeypatch.setattr(streaming, "BYTES_PER_BLOCK", 600 * categories * 8)
    X, y = coded(rows, categories)
    model = TableClassifier(max_iter=1, random_state=0)
    tracemalloc.start()
    try:
        model.fit(X, y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.7 * rows * categories * 4
    assert model.score(X, y) > 0.9


def test_a_large_table_of_one_block_is_fitted_as_in_memory(monkeypatch):
    X, y = coded(700, 20)
    model = TableClassifier(max_iter=2, random_state=0, arithmetic="reproducible")
    expected = model.fit(X, y).predict_proba(X)
    monkeypatch.setattr(streaming, "LARGEST_IN_MEMORY", 0)
    assert np.array_equal(model.fit(X, y).predict_proba(X), expected)


def test_the_certificate_of_a_large_table_is_kept(monkeypatch):
    """It is the same on threads that share the rows of each batch."""
    X, y = coded(700, 20)
    settings = {"max_iter": 1, "random_state": 0, "arithmetic": "reproducible"}

    def certificate(communicator=None):
        found = TableClassifier(**settings, communicator=communicator).fit(X, y).certificate_
        return {name: of for name, of in found.items() if name != "made_on"}

    in_memory = certificate()
    monkeypatch.setattr(streaming, "LARGEST_IN_MEMORY", 0)
    monkeypatch.setattr(streaming, "BYTES_PER_BLOCK", 300 * 21 * 8)
    alone = certificate()
    assert alone["parameters_sha256"] != in_memory["parameters_sha256"]  # in another order
    assert on_threads(2, certificate) == [alone, alone]
    TableClassifier.verify(alone, X, y)
    with pytest.raises(ValueError, match="X, y or sample_weight are not those"):
        TableClassifier.verify(alone, X[::-1], y)
