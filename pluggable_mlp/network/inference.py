"""What a network keeps from one prediction for the next: it changes no result.

Checks and calls of single operations cost more than a small network itself.
"""

import weakref
from collections.abc import Callable
from typing import Any

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.shortcuts import compiled

__all__ = ["Inference"]


class Inference:
    """The parameters and the kind of x that were last found to fit, and the compiled functions.

    A copy of it, also one that was pickled, is empty.
    """

    def __init__(self) -> None:
        self._fitting: tuple[Any, Namespace] = ((), None)
        self._kind_of_x: tuple[Any, ...] = ()
        self._functions: dict[tuple[str, Namespace], Callable[..., Array]] = {}

    def __reduce__(self) -> tuple[type["Inference"], tuple[()]]:
        return Inference, ()

    def remember(self, parameters: Any, xp: Namespace) -> None:
        """Note that these parameters fit, arrays of xp; it does not keep them alive."""
        arrays = [
            (name, weakref.ref(array)) for layer in parameters for name, array in layer.items()
        ]
        self._fitting, self._kind_of_x = (arrays, xp), ()

    def remember_x(self, x: Array) -> None:
        """Note that x fits these parameters."""
        self._kind_of_x = _kind(x)

    def takes(self, x: Any) -> bool:
        """Return whether x is of the class, dtype, shape and device that fitted last."""
        return _kind(x) == self._kind_of_x

    def namespace_of(self, parameters: Any) -> Namespace | None:
        """Return the namespace of parameters if they are those, by identity, that fitted last."""
        known, xp = self._fitting
        try:
            given = [item for layer in parameters for item in layer.items()]
        except (AttributeError, TypeError):  # no list of dicts
            return None
        if not known or len(given) != len(known):
            return None
        for (name, array), (known_name, reference) in zip(given, known, strict=True):
            if name != known_name or array is not reference():
                return None
        return xp

    def function(
        self, name: str, xp: Namespace, function: Callable[..., Array]
    ) -> Callable[..., Array]:
        """Return the function (parameters, x), compiled if the library does so; the same again."""
        if (name, xp) not in self._functions:
            self._functions[name, xp] = compiled(xp, function)
        return self._functions[name, xp]


def _kind(x: Any) -> tuple[Any, ...]:
    """Return all that the checks of x look at."""
    return type(x), *(getattr(x, name, None) for name in ("dtype", "shape", "device"))
