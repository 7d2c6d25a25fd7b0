"""What a network keeps from one prediction for the next; it changes no result.

Checks and calls of single operations cost more than a small network itself.
"""

import weakref
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from pluggable_mlp.arrays import Array, Namespace, device_of
from pluggable_mlp.namespaces import compiles, namespace_at, run, unwrapped
from pluggable_mlp.network.checks import check_inputs, check_parameters
from pluggable_mlp.shortcuts import compiled, on_device_of

if TYPE_CHECKING:
    from pluggable_mlp.network.mlp import MLP
    from pluggable_mlp.network.passes import Parameters


class PredictionCache:
    """The last arguments that were checked, and the compiled functions.

    Attributes
    ----------
    functions : dict
        Functions of (parameters, x), by the name of what they return, the namespace and the device.
    known : dict
        `call_if_known` of these: they return NotImplemented for arguments of kinds that they did
        not have, and so were not checked.  By the name of what they return, the arithmetic and the
        class of x.
    """

    def __init__(self) -> None:
        self._last: CheckedParameters | None = None  # replaced as a whole: threads may share it
        self.functions: dict[tuple[str, Namespace, str], Callable[..., Array]] = {}
        self.known: dict[tuple[str, str, type], Callable[..., Array]] = {}

    def outputs(
        self, mlp: "MLP", name: str, parameters: "Parameters", x: Array, arithmetic: str
    ) -> Array:
        """Return `mlp.outputs`, checked.

        Raises
        ------
        ValueError, TypeError
            If the parameters or x do not fit the network or each other.
        """
        try:
            call_if_known = self.known.get((name, arithmetic, type(x)))
        except TypeError:  # what cannot be hashed is not the name of an arithmetic
            call_if_known = None
        result = NotImplemented if call_if_known is None else call_if_known(parameters, x)
        if result is not NotImplemented:
            return result
        with on_device_of(x):
            return self._checked_outputs(mlp, name, parameters, x, arithmetic)

    def _checked_outputs(
        self, mlp: "MLP", name: str, parameters: "Parameters", x: Array, arithmetic: str
    ) -> Array:
        """Return `mlp.outputs` for arguments of another kind than before."""
        xp, own_parameters, own_x = self._checked(mlp, parameters, x, arithmetic)
        if compiles(xp):
            return unwrapped(run(xp, _outputs, (mlp, name), own_parameters, own_x))
        device = device_of(x)
        key = name, xp, str(device)
        if key not in self.functions:
            call = partial(_outputs, xp, mlp, name)
            self.functions[key] = compiled(xp, call, device=device) or call
        function = self.functions[key]
        if call_if_known := getattr(function, "call_if_known", None):
            self.known[name, arithmetic, type(own_x)] = call_if_known
        return unwrapped(function(own_parameters, own_x))

    def _checked(
        self, mlp: "MLP", parameters: "Parameters", x: Array, arithmetic: str
    ) -> "tuple[Namespace, Parameters, Array]":
        """Return the namespace of the arithmetic, with the arguments as its arrays."""
        last = self._last
        is_last = last is not None and last.are(parameters)
        if last is None or not is_last:
            self._last = last = CheckedParameters(parameters, check_parameters(mlp, parameters))
        if not last.fit(x):
            check_inputs(mlp, parameters, x)
            x = last.remember_x(x)
        xp = namespace_at(arithmetic, last.xp, x)
        if is_last and xp is last.xp:
            return xp, parameters, x
        own_parameters = [
            {name: xp.asarray(array) for name, array in layer.items()} for layer in parameters
        ]
        return xp, own_parameters, xp.asarray(x)


class CheckedParameters:
    """Parameters that fit a network, recognized by identity, and the kind of x that fits them.

    The arrays are not kept alive.  Those of another class than the namespace's own, such as
    `np.matrix`, are not recognized: they are converted at each call.

    Parameters
    ----------
    parameters : list of dict of arrays
        That were checked.
    xp
        The namespace of the arrays.
    """

    def __init__(self, parameters: "Parameters", xp: Namespace) -> None:
        self.xp = xp
        self._names = [*map(tuple, parameters)]
        arrays = [*_arrays(parameters)]
        are_own = all(type(xp.asarray(array)) is type(array) for array in arrays)
        # Of living arrays: when one is gone, there are none.
        self._ids = ids = [*map(id, arrays)] if are_own else []
        self._references = [weakref.ref(array, lambda _: ids.clear()) for array in arrays]
        self._kind_of_x: tuple[Any, ...] | None = None

    def are(self, parameters: "Parameters") -> bool:
        """Return whether parameters are those, by identity."""
        try:
            ids = [*map(id, _arrays(parameters))]
        except TypeError:  # not a list of dicts
            return False
        return ids == self._ids and [*map(tuple, parameters)] == self._names

    def remember_x(self, x: Array) -> Array:
        """Note that x fits these parameters, and return it as an array of the namespace."""
        own_x = self.xp.asarray(x)
        if type(own_x) is type(x):
            self._kind_of_x = _kind_of(x)
        return own_x

    def fit(self, x: Array) -> bool:
        """Return whether x is of the class, dtype, shape and device that fitted last."""
        try:
            return _kind_of(x) == self._kind_of_x
        except AttributeError:  # not an array
            return False


def _outputs(xp: Namespace, mlp: "MLP", name: str, parameters: "Parameters", x: Array) -> Array:
    return mlp.outputs(name, xp, parameters, x)


def _arrays(parameters: "Parameters") -> Iterator[Array]:
    return chain.from_iterable(map(dict.values, parameters))


def _kind_of(x: Array) -> tuple[Any, ...]:
    """Return all that the checks of x look at."""
    return type(x), x.dtype, x.shape, device_of(x)
