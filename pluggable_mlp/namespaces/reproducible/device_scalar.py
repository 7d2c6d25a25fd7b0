"""A scalar on the device that behaves like a Python float.

Functions that are compiled once and called with other learning rates take these as 0-d arrays.  As
arrays of the namespace they would promote float32.  A `DeviceScalar` behaves like a Python float of
its value: float64 among its kind, and in an array's dtype beside an array.  It may have axes, with
a scalar for each of several networks.
"""

import operator
from collections.abc import Callable
from typing import ClassVar

from pluggable_mlp.arrays import Array, DType, Namespace
from pluggable_mlp.elementary.common import SMALLEST_NORMAL

Operator = Callable[["DeviceScalar", object], "DeviceScalar"]


def _forward(function: Callable[[Array, Array], Array]) -> Operator:
    """Return an operator with floats and other device scalars."""

    def forward(self: "DeviceScalar", other: object) -> "DeviceScalar":
        if not isinstance(other, int | float | DeviceScalar):
            return NotImplemented  # an array of the namespace has a rule for it
        value = other.value if isinstance(other, DeviceScalar) else float(other)
        return DeviceScalar(self.xp, function(self.value, value))

    return forward


def _reflected(function: Callable[[Array, Array], Array]) -> Operator:
    """Return its reflection."""

    def reflected(self: "DeviceScalar", other: object) -> "DeviceScalar":
        if not isinstance(other, int | float):
            return NotImplemented
        return DeviceScalar(self.xp, function(float(other), self.value))

    return reflected


class DeviceScalar:
    """A float64 whose value is on the device.

    Parameters
    ----------
    xp : namespace
        The library's.
    value : array (), or (…) of a scalar for each network
        Of float64.
    """

    __slots__ = ("value", "xp")

    def __init__(self, xp: Namespace, value: Array) -> None:
        self.xp: Namespace = xp
        self.value: Array = value

    __add__: ClassVar[Operator] = _forward(operator.add)
    __radd__: ClassVar[Operator] = _reflected(operator.add)
    __sub__: ClassVar[Operator] = _forward(operator.sub)
    __rsub__: ClassVar[Operator] = _reflected(operator.sub)
    __mul__: ClassVar[Operator] = _forward(operator.mul)
    __rmul__: ClassVar[Operator] = _reflected(operator.mul)
    __truediv__: ClassVar[Operator] = _forward(operator.truediv)
    __rtruediv__: ClassVar[Operator] = _reflected(operator.truediv)

    def __neg__(self) -> "DeviceScalar":
        return DeviceScalar(self.xp, -self.value)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return int(self.value.ndim)

    def __getitem__(self, key: tuple[object, ...]) -> "DeviceScalar":
        return DeviceScalar(self.xp, self.value[key])

    def rounded(self, dtype: DType, kind: str) -> Array:
        """Return it as array of a floating dtype, 0 if it would be denormal there."""
        xp = self.xp
        flushed = xp.where(xp.abs(self.value) < SMALLEST_NORMAL[kind], 0.0, self.value)
        return xp.astype(flushed, dtype, copy=False)
