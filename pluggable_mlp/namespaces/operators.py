"""The operators of arrays of our namespaces: each calls the function of the same meaning.

`a * b` is `a.namespace.multiply(a, b)`.
"""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

Operator = Callable[[Any, Any], Any]


def _operators(name: str) -> tuple[Operator, Operator]:
    """Return the operator that calls the namespace's function of a name, and the reflected one."""

    def forward(self: "Operators", other: object) -> Any:
        if isinstance(other, self.operands):
            return getattr(self.namespace, name)(self, other)
        return NotImplemented

    def reflected(self: "Operators", other: object) -> Any:
        if not isinstance(other, self.scalars):
            return NotImplemented
        return getattr(self.namespace, name)(other, self)

    return forward, reflected


class Operators:
    """The operators of an array, which has a `namespace`, a `shape`, and rows.

    Attributes
    ----------
    scalars : tuple of types
        Of operands that are not arrays.
    operands : tuple of types
        Of all operands; others are left to their own operators.
    """

    __slots__ = ()

    namespace: Any
    scalars: ClassVar[tuple[type, ...]] = (int, float)
    operands: ClassVar[tuple[type, ...]]

    def __iter__(self: Any) -> Iterator[Any]:
        if not self.shape:
            raise TypeError("x has no axis to iterate over")
        return (self[index, ...] for index in range(self.shape[0]))

    __add__, __radd__ = _operators("add")
    __sub__, __rsub__ = _operators("subtract")
    __mul__, __rmul__ = _operators("multiply")
    __truediv__, __rtruediv__ = _operators("divide")
    __floordiv__, __rfloordiv__ = _operators("floor_divide")
    __mod__, __rmod__ = _operators("remainder")
    __pow__, __rpow__ = _operators("pow")
    __matmul__, __rmatmul__ = _operators("matmul")
    __and__, __rand__ = _operators("bitwise_and")
    __or__, __ror__ = _operators("bitwise_or")
    __xor__, __rxor__ = _operators("bitwise_xor")
    __lshift__, __rlshift__ = _operators("bitwise_left_shift")
    __rshift__, __rrshift__ = _operators("bitwise_right_shift")

    __hash__ = None  # type: ignore[assignment]  # `==` is elementwise
    __eq__ = _operators("equal")[0]
    __ne__ = _operators("not_equal")[0]
    __lt__ = _operators("less")[0]
    __le__ = _operators("less_equal")[0]
    __gt__ = _operators("greater")[0]
    __ge__ = _operators("greater_equal")[0]

    def __neg__(self) -> Any:
        return self.namespace.negative(self)

    def __pos__(self) -> Any:
        return self.namespace.positive(self)

    def __abs__(self) -> Any:
        return self.namespace.abs(self)

    def __invert__(self) -> Any:
        return self.namespace.bitwise_invert(self)
