"""What a network keeps from one prediction for the next, without changing results.

Checks and calls of single operations cost more than a small network itself.
"""

from collections.abc import Callable
from functools import partial

from pluggable_mlp.arrays import Array, LibraryArray, Namespace, device_of
from pluggable_mlp.compiling import compiled
from pluggable_mlp.namespaces import compiles, run, unwrapped
from pluggable_mlp.network.checks import checked_inputs
from pluggable_mlp.network.passes import LayeredNetwork
from pluggable_mlp.network.trees import Parameters
from pluggable_mlp.shortcuts import backend_at, on_device_of


class PredictionCache:
    """The compiled functions.

    Attributes
    ----------
    functions : dict
        Functions of (parameters, x), by the name of what they return, the namespace and the device.
    known : dict
        Their methods `call_if_known`, which return NotImplemented for arguments of new kinds,
        which are not yet checked.  By the name of what they return, the arithmetic and the class
        of x.
    """

    def __init__(self) -> None:
        self.functions: dict[tuple[str, Namespace, str], Callable[..., Array]] = {}
        self.known: dict[tuple[str, str, type], Callable[..., Array]] = {}

    def outputs(
        self, mlp: LayeredNetwork, name: str, parameters: Parameters, x: Array, arithmetic: str
    ) -> LibraryArray:
        """Return `mlp.outputs`, checked.

        Raises
        ------
        ValueError, TypeError
            If the parameters or x do not fit the network or each other.
        """
        try:
            call = self.known.get((name, arithmetic, type(x)))
        except TypeError:  # an unhashable value is not the name of an arithmetic
            call = None
        result: LibraryArray = NotImplemented if call is None else call(parameters, x)
        if result is NotImplemented:
            with on_device_of(x):
                result = self._checked_outputs(mlp, name, parameters, x, arithmetic)
        return result

    def _checked_outputs(
        self, mlp: LayeredNetwork, name: str, parameters: Parameters, x: Array, arithmetic: str
    ) -> Array:
        """Return `mlp.outputs` for arguments of a new kind."""
        xp, own_parameters, own_x = checked_inputs(mlp, parameters, x, arithmetic)
        if compiles(xp):
            return unwrapped(run(xp, _outputs, (mlp, name), own_parameters, own_x))
        device = device_of(x)
        key = name, xp, str(device)
        if key not in self.functions:
            call = partial(_outputs, xp, mlp, name)
            self.functions[key] = compiled(backend_at(xp, device), call) or call
        function = self.functions[key]
        if call_if_known := getattr(function, "call_if_known", None):
            self.known[name, arithmetic, type(own_x)] = call_if_known
        return unwrapped(function(own_parameters, own_x))


def _outputs(
    xp: Namespace, mlp: LayeredNetwork, name: str, parameters: Parameters, x: Array
) -> Array:
    return mlp.outputs(name, xp, parameters, x)
