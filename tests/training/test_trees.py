"""Walking lists of dicts of arrays."""

import numpy as np

from pluggable_mlp.training.trees import (
    map_arrays,
    map_weights,
    merge,
    split,
    zeros_like,
)

TREE = [{"W": np.full((2, 3), 1.0), "b": np.full(3, 2.0)}, {"gamma": np.full(3, 3.0)}]


def values(tree):
    return [{name: x.ravel()[0] for name, x in of.items()} for of in tree]


def test_map_arrays_takes_counterparts():
    assert values(map_arrays(lambda x, y: x + 10 * y, TREE, TREE)) == [
        {"W": 11.0, "b": 22.0},
        {"gamma": 33.0},
    ]


def test_map_weights_leaves_the_others():
    mapped = map_weights(lambda x, y: x + y, TREE, TREE)
    assert values(mapped) == [{"W": 2.0, "b": 2.0}, {"gamma": 3.0}]
    assert mapped[0]["b"] is TREE[0]["b"]


def test_zeros_like(backend):
    tree = [{"W": backend.asarray(np.ones((2, 3)), dtype="float32")}]
    zeros = zeros_like(tree)
    host = backend.to_numpy(zeros[0]["W"])
    assert host.shape == (2, 3)
    assert host.dtype == np.float32
    assert not host.any()
    assert type(zeros[0]["W"]) is type(tree[0]["W"])


def test_split_and_merge():
    chosen, others = split(TREE, [("b",), ()])
    assert values(chosen) == [{"b": 2.0}, {}]
    assert values(others) == [{"W": 1.0}, {"gamma": 3.0}]
    assert values(merge(others, chosen)) == values(TREE)
    assert list(merge(others, chosen)[0]) == ["W", "b"]
