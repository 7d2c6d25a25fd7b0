"""A number that stands for a Python float where a compiler is not to know its value.

What is compiled once and called with other learning rates takes them as 0-d arrays.  As arrays of
the namespace they would promote float32; as a `Number` they behave as the Python floats that they
are: float64 among themselves, in the dtype of the array that they meet.
"""

from collections.abc import Callable
from typing import Any

from pluggable_mlp.arrays import Array, DType, Namespace
from pluggable_mlp.namespaces.reproducible.rounding import SMALLEST_NORMAL

__all__ = ["Number"]


def _operators(
    function: Callable[[Any, Any], Any],
) -> tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]:
    """Return an operator and the reflected one, with floats and other numbers."""

    def forward(self: "Number", other: Any) -> Any:
        if not isinstance(other, int | float | Number):
            return NotImplemented  # an array of the namespace has a rule for it
        value = other.value if isinstance(other, Number) else float(other)
        return Number(self.xp, function(self.value, value))

    def reflected(self: "Number", other: Any) -> Any:
        if not isinstance(other, int | float):
            return NotImplemented
        return Number(self.xp, function(float(other), self.value))

    return forward, reflected


class Number:
    """A float64 whose value is on the device.

    Parameters
    ----------
    xp : namespace
        The library's.
    value : 0-d array
        float64.
    """

    __slots__ = ("value", "xp")

    def __init__(self, xp: Namespace, value: Array) -> None:
        self.xp = xp
        self.value = value

    __add__, __radd__ = _operators(lambda a, b: a + b)
    __sub__, __rsub__ = _operators(lambda a, b: a - b)
    __mul__, __rmul__ = _operators(lambda a, b: a * b)
    __truediv__, __rtruediv__ = _operators(lambda a, b: a / b)

    def __neg__(self) -> "Number":
        return Number(self.xp, -self.value)

    def rounded(self, dtype: DType, kind: str) -> Array:
        """Return it as 0-d array of a floating dtype, 0 where it would be denormal there."""
        xp = self.xp
        kept = xp.where(xp.abs(self.value) < SMALLEST_NORMAL[kind], 0.0, self.value)
        return xp.astype(kept, dtype, copy=False)
