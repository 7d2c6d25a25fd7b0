"""What an activation is, and a user's own one; the ready ones are in the files beside.

Shapes: x, y, dy, dx are all (…, batch, features).
"""

from collections.abc import Callable
from dataclasses import dataclass

from pluggable_mlp.arithmetic import Arithmetic
from pluggable_mlp.arrays import Array

__all__ = ["Activation", "Elementwise", "ElementwiseBackward"]

ElementwiseBackward = Callable[[Array], Array]
Activation = Callable[[Arithmetic, Array], tuple[Array, ElementwiseBackward]]


@dataclass(frozen=True)
class Elementwise:
    """A user's own activation: y = f(x) and dx = f'(x) dy, from two functions.

    Parameters
    ----------
    function, derivative : callable (arithmetic, x) -> array
        f and f', from x (…, batch, features) to an array of that shape, in operations of the
        array API standard (`arithmetic.xp` has them) and, for all that a library may round in
        its own way, of `arithmetic`; no branch may ask for a value, as the step may be compiled.

    Examples
    --------
    >>> from pluggable_mlp import MLP
    >>> square = (lambda a, x: a.multiply(x, x), lambda a, x: x + x)
    >>> mlp = MLP([2, 3, 2], activation=square)
    """

    function: Callable[[Arithmetic, Array], Array]
    derivative: Callable[[Arithmetic, Array], Array]

    def __call__(self, arithmetic: Arithmetic, x: Array) -> tuple[Array, ElementwiseBackward]:
        """Return y for x, both (…, batch, features), and the backward pass."""

        def backward(dy: Array) -> Array:
            return arithmetic.multiply(self.derivative(arithmetic, x), dy)

        return self.function(arithmetic, x), backward
