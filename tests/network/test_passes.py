"""Walking lists of dicts of arrays."""

import numpy as np

from pluggable_mlp.network.passes import (
    map_arrays,
    map_weights,
    merged,
    split,
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


def test_split_and_merge():
    chosen, others = split(TREE, [("b",), ()])
    assert values(chosen) == [{"b": 2.0}, {}]
    assert values(others) == [{"W": 1.0}, {"gamma": 3.0}]
    assert values(merged(others, chosen)) == values(TREE)
    assert list(merged(others, chosen)[0]) == ["W", "b"]
