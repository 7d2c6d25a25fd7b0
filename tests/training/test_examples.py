"""Mini-batches: nothing lost, nothing twice, the last one smaller, and gathered in order."""

from dataclasses import replace

import numpy as np
import pytest

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
