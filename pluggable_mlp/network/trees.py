"""Trees of arrays: a list with one dict of arrays for each layer that has any.

Parameters, gradients, buffers and slots of optimizers are such trees.  Shapes: a layer's "W" is
(…, in, out), a bias, a gain or a shift (…, out); arrays of k members have an axis k before these.
Leading axes are independent networks.
"""

from collections.abc import Callable, Collection, Sequence
from operator import itemgetter

from pluggable_mlp.arrays import Array, Nested

Tree = list[dict[str, Array]]
Parameters = Tree

_MATRICES = ("W", "r", "s", "member_b", "embedding_w", "embedding_b", "embedding_c", "category_E")
_BINS = ("left", "inverse_width", "low", "high")
_CORE_AXES = {"member_W": 3, "embedding_V": 3, **dict.fromkeys(_MATRICES + _BINS, 2)}
"""Other arrays are vectors: biases, gains, shifts."""


def first_array(parameters: Parameters) -> Array:
    """Return the first of the parameters, which has the library, device and dtype of all."""
    return next(iter(parameters[0].values()))


def merged(first: Tree, second: Tree) -> Tree:
    """Return the tree before `split`: in each dict the first's arrays, then the second's."""
    return [{**one, **other} for one, other in zip(first, second, strict=True)]


def core_axes(name: str) -> int:
    """Return how many of an array's last axes belong to one network, by the name of the array."""
    return _CORE_AXES.get(name, 1)


def is_weight(name: str) -> bool:
    """Return whether an array consists of matrices of weights, which decay."""
    return name in ("W", "member_W", "embedding_V")


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


def with_leaves(like: Tree, arrays: Sequence[Array]) -> Tree:
    """Return a tree with its arrays replaced by these, one after the other."""
    remaining = iter(arrays)
    # The names come first: where they end, no array is taken.
    return [dict(zip(layer, remaining, strict=False)) for layer in like]


def named_like(like: Nested, value: Nested) -> Nested:
    """Return nested lists, tuples and dicts with names in the order of `like`: JAX sorts them."""
    if isinstance(like, dict):
        return {name: named_like(one, value[name]) for name, one in like.items()}
    if isinstance(like, tuple | list):
        return [named_like(*pair) for pair in zip(like, value, strict=True)]
    return value


def split(tree: Tree, names: Sequence[Collection[str]]) -> tuple[Tree, Tree]:
    """Return a tree of the arrays with these names, given per dict, and one of all others."""
    chosen, others = [], []
    for layer, its_names in zip(tree, names, strict=True):
        chosen.append({name: array for name, array in layer.items() if name in its_names})
        others.append({name: array for name, array in layer.items() if name not in its_names})
    return chosen, others
