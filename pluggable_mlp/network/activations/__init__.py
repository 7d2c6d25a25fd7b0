"""Activations: elementwise functions, each forward beside its own backward.

Shapes: x, y, dy, dx are all (…, batch, features).  Each takes (xp, x) and returns its
output with a closure that turns the loss's gradient with respect to the output, dy, into the one
with respect to the input, dx = f'(x) dy.  One with parameters is a frozen dataclass that is
called the same way.  Adding one is adding a unit to a file here and a line to `ACTIVATIONS`; a
user's own needs neither: a pair of functions (f, f') does, see `Elementwise`.
"""

from collections.abc import Sequence
from typing import Any

from pluggable_mlp.network.activations.contract import (
    Activation,
    Elementwise,
    ElementwiseBackward,
)
from pluggable_mlp.network.activations.gated import gelu, gelu_tanh, silu
from pluggable_mlp.network.activations.rectifiers import ELU, LeakyReLU, identity, relu
from pluggable_mlp.network.activations.sigmoidal import sigmoid, softplus, tanh
from pluggable_mlp.registry import choose

__all__ = [
    "ACTIVATIONS",
    "ELU",
    "Activation",
    "Elementwise",
    "ElementwiseBackward",
    "LeakyReLU",
    "activations_of_layers",
    "gelu",
    "gelu_tanh",
    "identity",
    "relu",
    "sigmoid",
    "silu",
    "softplus",
    "tanh",
]

ACTIVATIONS: dict[str, Activation] = {
    "identity": identity,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "relu": relu,
    "leaky_relu": LeakyReLU(),
    "elu": ELU(),
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "silu": silu,
    "softplus": softplus,
}


def activations_of_layers(activation: Any, layers: int) -> tuple[Activation, ...]:
    """Return one activation per hidden layer.

    Parameters
    ----------
    activation
        A name, an activation, or a pair of functions (f, f'), for all layers; or a list of
        these, one per layer.
    layers : int
        How many hidden layers there are.

    Raises
    ------
    ValueError
        If a name is unknown, or the list has another length than there are hidden layers.
    TypeError
        If it is anything else.
    """
    if isinstance(activation, str) or callable(activation) or _is_pair(activation):
        return (_activation(activation),) * layers
    if not isinstance(activation, Sequence):
        raise TypeError(_EXPECTED.format(activation))
    if len(activation) != layers:
        raise ValueError(
            f"activation is a list of {len(activation)}, expected {layers}, one for each hidden "
            "layer; or give one for all"
        )
    return tuple(_activation(one) for one in activation)


_EXPECTED = (
    "activation is {!r}, expected a name, a pair of functions (f, derivative) of (xp, x), "
    "or a list of these, one a hidden layer"
)


def _is_pair(activation: Any) -> bool:
    return (
        isinstance(activation, tuple)
        and len(activation) == 2
        and all(callable(function) for function in activation)
    )


def _activation(one: Any) -> Activation:
    if isinstance(one, str):
        return choose(ACTIVATIONS, one, "activation")
    if _is_pair(one):
        return Elementwise(*one)
    if not callable(one):
        raise TypeError(_EXPECTED.format(one))
    activation: Activation = one
    return activation
