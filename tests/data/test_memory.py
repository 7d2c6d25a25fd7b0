"""How much memory the preparation of a table takes."""

import numpy as np
import pytest

from pluggable_mlp.data import load_dataset

pytest.importorskip("polars")

ROWS, CATEGORIES = 7000, 900
DENSE = ROWS * (CATEGORIES + 1) * 8
"""Bytes of all features in float64."""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    rng = np.random.default_rng(0)
    rows = zip(rng.normal(size=ROWS), rng.permutation(ROWS) % CATEGORIES, strict=True)
    path.write_text("x,city,y\n" + "".join(f"{x:.4f},c{city},{int(x > 0)}\n" for x, city in rows))
    return path


def test_the_features_of_categories_are_made_once(table, peak_memory):
    assert peak_memory(lambda: load_dataset(table)) < 1.25 * DENSE


def test_a_table_for_testing_takes_no_more_than_a_copy_of_its_features(table, peak_memory):
    assert peak_memory(lambda: load_dataset(table, test=table)) < 3.25 * DENSE


@pytest.mark.xfail(strict=True, reason="categories are codes until the batch (issue 21)")
def test_categories_are_no_dense_matrix(table, peak_memory):
    assert peak_memory(lambda: load_dataset(table)) < DENSE / 4
