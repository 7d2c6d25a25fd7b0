"""Who applies an optimizer's rule: to one array after the other, or the backend to all at once.

A rule is a pure function of one array, its gradient and its slots; which arrays it is applied to at
once changes no result but by rounding, where a library has the rule as one operation.  The rules
are in `optimizers.py`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from pluggable_mlp.arrays import Array

__all__ = ["Apply", "Coefficients", "Rule", "each_array"]

Coefficients: TypeAlias = dict[str, float]


class Rule(NamedTuple):
    """An optimizer's rule at one update.

    Attributes
    ----------
    function : callable
        (w, g, *slots) -> (w, *slots), of arrays of one shape.
    kernel : str
        Its name, where libraries have it as one operation; else "".
    numbers : dict of float
        What such an operation is given.
    """

    function: Callable[..., tuple[Array, ...]]
    kernel: str
    numbers: Coefficients


Apply: TypeAlias = Callable[..., Sequence[Sequence[Array]]]
"""(rule, parameters, gradients, *slots) -> (parameters, *slots), each a sequence of arrays."""


def each_array(
    rule: Rule, parameters: Sequence[Array], *others: Sequence[Array]
) -> Sequence[Sequence[Array]]:
    """Return what the rule makes of each array, pure and on every library."""
    results = [rule.function(*arrays) for arrays in zip(parameters, *others, strict=True)]
    return [*zip(*results, strict=True)] or [()] * len(others)
