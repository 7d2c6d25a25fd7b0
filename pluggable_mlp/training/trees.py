"""Lists of dicts of arrays (parameters, gradients, moments): walking several at once."""

from collections.abc import Callable

from pluggable_mlp.arrays import Array

__all__ = ["Tree", "map_arrays"]

Tree = list[dict[str, Array]]


def map_arrays(function: Callable[..., Array], first: Tree, *others: Tree) -> Tree:
    """Return a tree of function(array of the first, its counterparts in the others …)."""
    return [
        {
            name: function(array, *(other[index][name] for other in others))
            for name, array in of.items()
        }
        for index, of in enumerate(first)
    ]
