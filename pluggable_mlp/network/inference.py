"""What a network keeps from one prediction for the next: it changes no result.

Checks and calls of single operations cost more than a small network itself.
"""

import weakref
from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from pluggable_mlp.arrays import Array, Namespace, device_of
from pluggable_mlp.namespaces import namespace_at, run, speculates, unwrapped
from pluggable_mlp.network.checks import check_inputs, check_parameters
from pluggable_mlp.shortcuts import compiled, on_device_of

if TYPE_CHECKING:
    from pluggable_mlp.network.mlp import MLP, Parameters

__all__ = ["Fitting", "Inference"]


class Inference:
    """What was last found to fit, and the compiled functions.

    Attributes
    ----------
    fitting : Fitting or None
        Of the last arguments; replaced as a whole: threads may share a network.
    functions : dict
        Of (parameters, x), by what they return and the namespace.
    repeated : dict
        What they return for arguments of kinds that they had, which were checked; NotImplemented
        for others.  By what they return, the arithmetic and the class of x.
    """

    def __init__(self) -> None:
        self.fitting: Fitting | None = None
        self.functions: dict[tuple[str, Namespace], Callable[..., Array]] = {}
        self.repeated: dict[tuple[str, str, type], Callable[..., Array]] = {}

    def outputs(
        self, mlp: "MLP", of: str, parameters: "Parameters", x: Array, arithmetic: str
    ) -> Array:
        """Return `mlp.outputs`, checked.

        Raises
        ------
        ValueError, TypeError
            As `checked`.
        """
        try:
            repeated = self.repeated.get((of, arithmetic, type(x)))
        except TypeError:  # what cannot be hashed is no name of an arithmetic
            repeated = None
        found = NotImplemented if repeated is None else repeated(parameters, x)
        if found is not NotImplemented:
            return found
        with on_device_of(x):
            return self._checked_outputs(mlp, of, parameters, x, arithmetic)

    def _checked_outputs(
        self, mlp: "MLP", of: str, parameters: "Parameters", x: Array, arithmetic: str
    ) -> Array:
        """Return `mlp.outputs` for arguments of another kind than before."""
        xp, known, own_x = self.checked(mlp, parameters, x, arithmetic)
        if speculates(xp):
            return unwrapped(run(xp, _outputs, (mlp, of), known, own_x))
        if (of, xp) not in self.functions:
            function = partial(_outputs, xp, mlp, of)
            self.functions[of, xp] = compiled(xp, function) or function
        if repeats := getattr(self.functions[of, xp], "repeated", None):
            self.repeated[of, arithmetic, type(own_x)] = repeats
        return unwrapped(self.functions[of, xp](known, own_x))

    def checked(
        self, mlp: "MLP", parameters: "Parameters", x: Array, arithmetic: str
    ) -> "tuple[Namespace, Parameters, Array]":
        """Return the namespace of the arithmetic, with the arguments as its arrays.

        Raises
        ------
        ValueError, TypeError
            If the parameters or x do not fit the network or each other.
        """
        fitting = self.fitting
        fitted = fitting is not None and fitting.holds(parameters)
        if fitting is None or not fitted:
            fitting = Fitting(parameters, check_parameters(mlp, parameters))
            self.fitting = fitting
        if not fitting.takes(x):
            check_inputs(mlp, parameters, x)
            x = fitting.remember_x(x)
        xp = namespace_at(arithmetic, fitting.xp, x)
        if fitted and xp is fitting.xp:
            return xp, parameters, x
        known = [{name: xp.asarray(array) for name, array in of.items()} for of in parameters]
        return xp, known, xp.asarray(x)


class Fitting:
    """Parameters that fit a network, recognized by identity, and the kind of x that fits them.

    It does not keep the arrays alive.  Arrays of another class than the namespace's own, such as
    `np.matrix`, it never recognizes: they are made such arrays at each call.

    Parameters
    ----------
    parameters : list of dict of arrays
        That were checked.
    xp
        The namespace of the arrays.
    """

    def __init__(self, parameters: Any, xp: Namespace) -> None:
        self.xp = xp
        self._names = [*map(tuple, parameters)]
        arrays = [*_arrays(parameters)]
        own = all(type(xp.asarray(array)) is type(array) for array in arrays)
        # Of living arrays: without one, there are none.
        self._ids = ids = [*map(id, arrays)] if own else []
        self._references = [weakref.ref(array, lambda _: ids.clear()) for array in arrays]
        self._kind_of_x: tuple[Any, ...] | None = None

    def holds(self, parameters: Any) -> bool:
        """Return whether parameters are those, by identity."""
        try:
            ids = [*map(id, _arrays(parameters))]
        except TypeError:  # not a list of dicts
            return False
        return ids == self._ids and [*map(tuple, parameters)] == self._names

    def remember_x(self, x: Array) -> Array:
        """Note that x fits these parameters, and return it as an array of the namespace."""
        own = self.xp.asarray(x)
        if type(own) is type(x):
            self._kind_of_x = _kind(x)
        return own

    def takes(self, x: Any) -> bool:
        """Return whether x is of the class, dtype, shape and device that fitted last."""
        try:
            return _kind(x) == self._kind_of_x
        except AttributeError:  # not an array
            return False


def _outputs(xp: Namespace, mlp: "MLP", of: str, parameters: "Parameters", x: Array) -> Array:
    return mlp.outputs(of, xp, parameters, x)


def _arrays(parameters: Any) -> Any:
    """Return an iterator over the arrays."""
    return chain.from_iterable(map(dict.values, parameters))


def _kind(x: Any) -> tuple[Any, ...]:
    """Return all that the checks of x look at."""
    return type(x), x.dtype, x.shape, device_of(x)
