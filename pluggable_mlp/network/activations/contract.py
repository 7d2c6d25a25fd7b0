"""What an activation is, and a user's own one; the ready ones are in the files beside.

Shapes: x, y, dy, dx are all (…, batch, features).
"""

from collections.abc import Callable
from dataclasses import dataclass

from pluggable_mlp.arrays import Array, Namespace

__all__ = ["Activation", "Elementwise", "ElementwiseBackward"]

ElementwiseBackward = Callable[[Array], Array]
Activation = Callable[[Namespace, Array], tuple[Array, ElementwiseBackward]]


@dataclass(frozen=True)
class Elementwise:
    """A user's own activation: y = f(x) and dx = f'(x) dy, from two functions.

    Parameters
    ----------
    function, derivative : callable (xp, x) -> array
        f and f', from x (…, batch, features) to an array of that shape, in operators and
        functions of the array API standard; no branch may ask for a value, as the step may be
        compiled.

    Examples
    --------
    >>> from pluggable_mlp import MLP
    >>> square = (lambda xp, x: x * x, lambda xp, x: 2 * x)
    >>> mlp = MLP([2, 3, 2], activation=square)
    """

    function: Callable[[Namespace, Array], Array]
    derivative: Callable[[Namespace, Array], Array]

    def __call__(self, xp: Namespace, x: Array) -> tuple[Array, ElementwiseBackward]:
        """Return y for x, both (…, batch, features), and the backward pass."""

        def backward(dy: Array) -> Array:
            return self.derivative(xp, x) * dy

        return self.function(xp, x), backward
