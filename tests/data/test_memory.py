"""How much memory the preparation of a table takes."""

import numpy as np
import pytest

from pluggable_mlp import MLP, get_backend, train
from pluggable_mlp.data import load_dataset
from pluggable_mlp.data.scaling import fit_scaling

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


@pytest.mark.parametrize("kind", ["standard", "smooth_clip"])
def test_features_are_scaled_in_place(kind, peak_memory):
    values = np.random.default_rng(0).normal(size=(10_000, 20))
    scaling = fit_scaling("table", kind, values)
    expected = scaling.apply(values[-5:])
    assert peak_memory(lambda: scaling.apply_in_place(values)) < values.nbytes / 2
    assert np.array_equal(values[-5:], expected)


def test_categories_are_codes_until_the_block(table, peak_memory):
    assert peak_memory(lambda: load_dataset(table, block_size=500)) < DENSE / 4


def test_codes_are_the_same_data(table):
    coded, whole = (load_dataset(table, test=table, block_size=size) for size in (500, 0))
    assert coded.sha256() == whole.sha256()
    for part, (inputs, targets) in whole.splits.items():
        assert coded.splits[part].inputs[100:200].tolist() == inputs[100:200].tolist()
        assert coded.splits[part].targets.tolist() == targets.tolist()
        assert coded.splits[part].inputs[200:100].shape == inputs[200:100].shape == (0, 901)


def test_codes_become_zeros_and_ones_in_memory_that_held_others(table, monkeypatch):
    """What NumPy's `empty` holds is arbitrary."""
    whole = load_dataset(table).sha256()
    monkeypatch.setattr(np, "empty", lambda shape, dtype=float, **_: np.full(shape, 7, dtype))
    assert load_dataset(table, block_size=500).sha256() == whole


def test_training_makes_the_same_of_codes(table):
    coded, whole = (load_dataset(table, block_size=size) for size in (500, 0))
    mlp, backend = MLP([whole.features, 2]), get_backend("numpy")
    found = [
        train(mlp, *data.train, backend=backend, epochs=1, batch_size=100, block_size=500).history
        for data in (coded, whole)
    ]
    assert found[0] == found[1]
