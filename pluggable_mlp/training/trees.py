"""Lists of dicts of arrays (parameters, gradients, moments): walking several at once.

Shapes: a layer's "W" is (…, in, out), a bias, a gain or a shift (…, out); arrays of k members have
an axis of these before.  Leading axes are independent networks.  Formulas belong elsewhere.
"""

from collections.abc import Callable, Collection, Sequence
from operator import itemgetter
from typing import Any

from pluggable_mlp.arrays import Array, array_namespace
from pluggable_mlp.network.names import is_weight

Tree = list[dict[str, Array]]


def map_arrays(function: Callable[..., Array], first: Tree, *others: Tree) -> Tree:
    """Return a tree of function(array of the first, its counterparts in the others …)."""
    # Every step passes here several times: hence no generator for each array.
    return [
        {name: function(*map(itemgetter(name), together)) for name in together[0]}
        for together in zip(first, *others, strict=True)
    ]


def map_weights(function: Callable[..., Array], first: Tree, *others: Tree) -> Tree:
    """Return `map_arrays` on the matrices "W" alone; the first's other arrays stay as they are."""
    return [
        {
            name: function(array, *(other[index][name] for other in others))
            if is_weight(name)
            else array
            for name, array in layer.items()
        }
        for index, layer in enumerate(first)
    ]


def leaves(tree: Tree, like: Tree) -> list[Array]:
    """Return the arrays of a tree one after the other, in the order of the tree it is like."""
    return [layer[name] for names, layer in zip(like, tree, strict=True) for name in names]


def with_leaves(like: Tree, arrays: Sequence[Array]) -> Tree:
    """Return a tree with these arrays, in the order of `leaves`, in the place of its own."""
    remaining = iter(arrays)
    # The names come first: where they end, no array is taken.
    return [dict(zip(layer, remaining, strict=False)) for layer in like]


def named_like(like: Any, value: Any) -> Any:
    """Return nested lists, tuples and dicts with names in the order of `like`: JAX sorts them."""
    if isinstance(like, dict):
        return {name: named_like(one, value[name]) for name, one in like.items()}
    if isinstance(like, tuple | list):
        return [named_like(*pair) for pair in zip(like, value, strict=True)]
    return value


def zeros_like(tree: Tree) -> Tree:
    """Return a tree of zeros of the same shapes, dtypes, library and device."""
    return map_arrays(lambda array: array_namespace(array).zeros_like(array), tree)


def split(tree: Tree, names: Sequence[Collection[str]]) -> tuple[Tree, Tree]:
    """Return a tree of the arrays of these names, given for each dict, and one of all others."""
    chosen = [
        {name: array for name, array in layer.items() if name in its_names}
        for layer, its_names in zip(tree, names, strict=True)
    ]
    others = [
        {name: array for name, array in layer.items() if name not in its_names}
        for layer, its_names in zip(tree, names, strict=True)
    ]
    return chosen, others


def merge(first: Tree, second: Tree) -> Tree:
    """Return the tree that was split: in each dict the first's arrays, then the second's."""
    return [{**one, **other} for one, other in zip(first, second, strict=True)]
