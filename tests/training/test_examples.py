"""Mini-batches: nothing lost, nothing twice, the last one smaller, and gathered in order."""

from dataclasses import replace

import numpy as np
import pytest

from pluggable_mlp import get_backend
from pluggable_mlp.training.examples import Examples


def batches(backend, examples, size, order=None):
    """Every batch on the host."""
    if order is not None:
        examples = replace(examples, order=backend.asarray(np.asarray(order)))
    return [
        (backend.to_numpy(x), backend.to_numpy(labels))
        for x, labels, _ in examples.batches(backend.xp, size)
    ]


def make(backend, inputs, labels, scale=None):
    xp = backend.xp
    return Examples(backend.asarray(inputs), backend.asarray(labels), xp.float32, scale)


@pytest.mark.parametrize(
    ("count", "size", "sizes"),
    [(7, 3, [3, 3, 1]), (6, 3, [3, 3]), (2, 5, [2]), (3, 1, [1, 1, 1]), (1, 1, [1])],
)
def test_as_they_come(backend, count, size, sizes):
    inputs = np.arange(2 * count, dtype=np.float32).reshape(count, 2)
    examples = make(backend, inputs, np.arange(count))
    assert len(examples) == count
    parts = batches(backend, examples, size)
    assert [len(labels) for _, labels in parts] == sizes
    assert np.concatenate([x for x, _ in parts]).tolist() == inputs.tolist()
    assert np.concatenate([labels for _, labels in parts]).tolist() == list(range(count))


@pytest.mark.parametrize("rows", [False, True], ids=["indices", "rows"])
def test_in_a_given_order(backend, rows):
    inputs = np.arange(10, dtype=np.float32).reshape(5, 2)
    labels = np.eye(5, dtype=np.float32) if rows else np.arange(5)
    order = [3, 0, 4, 2, 1]
    parts = batches(backend, make(backend, inputs, labels), 2, order)
    assert [len(x) for x, _ in parts] == [2, 2, 1]
    assert np.concatenate([x for x, _ in parts]).tolist() == inputs[order].tolist()
    assert np.concatenate([of for _, of in parts]).tolist() == labels[order].tolist()


@pytest.mark.parametrize("order", [None, [2, 1, 0]], ids=["as they come", "ordered"])
def test_pixels_are_scaled_batch_by_batch(backend, order):
    pixels = np.asarray([[0, 1], [128, 255], [3, 7]], dtype=np.uint8)
    parts = batches(backend, make(backend, pixels, np.arange(3), 1 / 256), 2, order)
    expected = (pixels / 256)[order or [0, 1, 2]]
    assert {x.dtype.name for x, _ in parts} == {"float32"}
    assert np.concatenate([x for x, _ in parts]).tolist() == expected.tolist()


def test_a_batch_as_it_comes_is_a_view():
    """Nothing is copied where nothing has to be."""
    backend = get_backend("numpy")
    inputs = np.zeros((4, 2), dtype=np.float32)
    for x, _, _ in make(backend, inputs, np.arange(4)).batches(backend.xp, 2):
        assert np.shares_memory(x, inputs)
