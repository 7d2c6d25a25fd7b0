"""Activations: elementwise functions, each with its backward.

Shapes: x, y, dy, dx are all (…, batch, features).  An activation takes (xp, x) and returns its
output with a closure that maps the gradient of the loss with respect to the output, dy, to that
with respect to the input, dx = f'(x) dy.  An activation with parameters is a frozen dataclass that
is called the same way.

x and dy are finite.  An infinite dy, from a step that overflowed, never gives a finite dx where
f'(x) is not 0, but an infinity or NaN; elsewhere it gives 0 or NaN, as libraries differ.

The clipped copies of x below do not change results: they ensure that the product of a huge x and a
vanishing factor is zero.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeAlias, TypeGuard

from msgspec import Meta

from pluggable_mlp import special
from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.arrays.shortcuts import own
from pluggable_mlp.fields import Component, choose

ElementwiseBackward = Callable[[Array], Array]
Activation = Callable[[Namespace, Array], tuple[Array, ElementwiseBackward]]
Function = Callable[[Namespace, Array], Array]
ActivationChoice: TypeAlias = str | Activation | tuple[Function, Function]

_SQRT_HALF = math.sqrt(0.5)
_SQRT_2_OVER_PI = math.sqrt(2.0 / math.pi)
_CUBIC = 0.044715  # of gelu's tanh form
# Of selu: both make mean 0 and variance 1 a fixed point of a layer's outputs.
_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805
_LARGEST = 2.0**127  # of parameters, which float32 can hold: PyTorch takes no other


def identity(xp: Namespace, x: Array) -> tuple[Array, ElementwiseBackward]:
    """Return y = x; dx = dy."""

    def backward(dy: Array) -> Array:
        return dy

    return x, backward


def relu(xp: Namespace, x: Array) -> tuple[Array, ElementwiseBackward]:
    """Return y = max(x, 0); dx = dy where x > 0, else 0 (the subgradient 0 at x = 0)."""
    if function := own(xp, "relu"):
        return function(x)
    y = xp.maximum(x, 0.0)
    y += 0.0  # libraries differ in the sign of the maximum of 0 and -0

    def backward(dy: Array) -> Array:
        return special.where_positive(xp, y, dy)

    return y, backward


@dataclass(frozen=True)
class LeakyReLU(Component):
    """y = x where x > 0, else slope x; dx = dy where x > 0, else slope dy.

    Maas, Hannun, Ng, "Rectifier nonlinearities improve neural network acoustic models" (2013),
    with their default slope.

    Parameters
    ----------
    slope : float, default 0.01
        From -2^127 to 2^127.

    Raises
    ------
    ValueError
        If the slope is out of its range.

    See Also
    --------
    torch.nn.LeakyReLU

    Examples
    --------
    >>> import numpy as np
    >>> from pluggable_mlp import LeakyReLU
    >>> y, backward = LeakyReLU(slope=0.5)(np, np.asarray([-4.0, 3.0]))
    >>> y.tolist(), backward(np.ones(2)).tolist()
    ([-2.0, 3.0], [0.5, 1.0])
    """

    slope: Annotated[float, Meta(ge=-_LARGEST, le=_LARGEST)] = 0.01

    def __call__(self, xp: Namespace, x: Array) -> tuple[Array, ElementwiseBackward]:
        """Return y for x, both (…, batch, features), and the backward pass."""
        if not self.slope:  # 0 times infinity is NaN
            return relu(xp, x)
        if function := own(xp, "leaky_relu"):
            return function(x, self.slope)

        def backward(dy: Array) -> Array:
            return special.where_positive(xp, x, dy, dy * self.slope)

        # NumPy's where takes several times as long on mixed signs.
        return (xp.maximum if self.slope <= 1.0 else xp.minimum)(x, x * self.slope), backward


@dataclass(frozen=True)
class ELU(Component):
    """y = x where x > 0, else alpha (exp(x) - 1).

    Clevert, Unterthiner, Hochreiter, "Fast and accurate deep network learning by exponential
    linear units" (ICLR 2016), equation 15.  y' = 1 where x > 0, else alpha exp(x).

    Parameters
    ----------
    alpha : float, default 1.0
        From 0 to 2^127.

    Raises
    ------
    ValueError
        If alpha is out of its range.

    See Also
    --------
    torch.nn.ELU

    Examples
    --------
    >>> import numpy as np
    >>> from pluggable_mlp import ELU
    >>> y, backward = ELU(alpha=2.0)(np, np.asarray([-1000.0, 3.0]))
    >>> y.tolist(), backward(np.ones(2)).tolist()
    ([-2.0, 3.0], [0.0, 1.0])
    """

    alpha: Annotated[float, Meta(ge=0, le=_LARGEST)] = 1.0

    def __call__(self, xp: Namespace, x: Array) -> tuple[Array, ElementwiseBackward]:
        """Return y for x, both (…, batch, features), and the backward pass."""
        if function := own(xp, "elu"):
            return function(x, self.alpha, 1.0)
        negative_part = xp.minimum(x, 0.0)

        def backward(dy: Array) -> Array:
            slope = xp.exp(negative_part)  # 1 where x > 0
            if self.alpha == 1.0:
                return slope * dy
            return special.where_positive(xp, x, dy, slope * self.alpha * dy)

        # One of the terms is 0.
        return xp.maximum(x, 0.0) + special.expm1(xp, negative_part) * self.alpha, backward


def selu(xp: Namespace, x: Array) -> tuple[Array, ElementwiseBackward]:
    """Return y = s x where x > 0, else s a (exp(x) - 1), with s = 1.0507… and a = 1.6733….

    Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural networks" (NeurIPS 2017),
    equation 2.  It is s times `ELU` with alpha = a, and so is y'.
    """
    if function := own(xp, "elu"):
        return function(x, _SELU_ALPHA, _SELU_SCALE)
    y, backward_of_elu = _ELU_OF_SELU(xp, x)

    def backward(dy: Array) -> Array:
        return backward_of_elu(dy) * _SELU_SCALE

    return y * _SELU_SCALE, backward


_ELU_OF_SELU = ELU(_SELU_ALPHA)


def sigmoid(xp: Namespace, x: Array) -> tuple[Array, ElementwiseBackward]:
    """Return y = 1 / (1 + exp(-x)); y' = y (1 - y), so dx = dy y (1 - y)."""
    y = special.sigmoid(xp, x)

    def backward(dy: Array) -> Array:
        return y * (1.0 - y) * dy

    return y, backward


def tanh(xp: Namespace, x: Array) -> tuple[Array, ElementwiseBackward]:
    """Return y = tanh(x); y' = 1 - y², so dx = dy (1 - y²)."""
    y = xp.tanh(x)

    def backward(dy: Array) -> Array:
        return (1.0 - y * y) * dy

    return y, backward


def softplus(xp: Namespace, x: Array) -> tuple[Array, ElementwiseBackward]:
    """Return y = log(1 + exp(x)); y' = sigmoid(x)."""

    def backward(dy: Array) -> Array:
        return special.sigmoid(xp, x) * dy

    return special.softplus(xp, x), backward


def gelu(xp: Namespace, x: Array) -> tuple[Array, ElementwiseBackward]:
    """Return y = x Φ(x), with the normal distribution function Φ(x) = (1 + erf(x/√2)) / 2.

    Hendrycks, Gimpel, "Gaussian error linear units" (2016), the exact form.  With the density
    φ(x) = exp(-x²/2) / √(2π) = Φ'(x): y' = Φ(x) + x φ(x).
    """
    if function := own(xp, "gelu"):
        return function(x)
    distribution = (1.0 + special.erf(xp, x * _SQRT_HALF)) * 0.5

    def backward(dy: Array) -> Array:
        c = xp.maximum(xp.minimum(x, 40.0), -40.0)  # exp(-40²/2) is zero in float64, too
        density = xp.exp(c * c * -0.5)
        return (distribution + c * density * (0.5 * _SQRT_2_OVER_PI)) * dy

    return x * distribution, backward


def gelu_tanh(xp: Namespace, x: Array) -> tuple[Array, ElementwiseBackward]:
    """Return y = x (1 + t) / 2 with t = tanh(u), u = √(2/π) (x + 0.044715 x³).

    Hendrycks, Gimpel (2016), the approximation that GPT-2 uses.  From t' = (1 - t²) u' and
    u' = √(2/π) (1 + 3 · 0.044715 x²): y' = (1 + t) / 2 + x (1 - t²) u' / 2.
    """
    c = xp.maximum(xp.minimum(x, 20.0), -20.0)  # tanh(u) is 1 from 8 on
    square = c * c
    t = xp.tanh(c * (1.0 + square * _CUBIC) * _SQRT_2_OVER_PI)
    half = (1.0 + t) * 0.5

    def backward(dy: Array) -> Array:
        dt = (1.0 - t * t) * (1.0 + square * (3.0 * _CUBIC))
        return (half + c * dt * (0.5 * _SQRT_2_OVER_PI)) * dy

    return x * half, backward


def silu(xp: Namespace, x: Array) -> tuple[Array, ElementwiseBackward]:
    """Return y = x s with s = sigmoid(x), also called swish; y' = s (1 + x (1 - s)).

    Elfwing, Uchibe, Doya, "Sigmoid-weighted linear units" (2018); s' = s (1 - s).
    """
    s = special.sigmoid(xp, x)
    c = xp.maximum(x, -800.0)  # exp(-800) is zero in float64, too

    def backward(dy: Array) -> Array:
        return s * (1.0 + c * (1.0 - s)) * dy

    return c * s, backward


def hardswish(xp: Namespace, x: Array) -> tuple[Array, ElementwiseBackward]:
    """Return y = x g with g = min(max(x + 3, 0), 6) / 6, a piecewise linear sigmoid.

    Howard et al., "Searching for MobileNetV3" (ICCV 2019), section 5.2.  g' = 1/6 where |x| < 3,
    else 0: y' = g + x g', with the outer slopes 0 and 1 at the corners -3 and 3.
    """
    gate = xp.minimum(xp.maximum(x + 3.0, 0.0), 6.0) * (1.0 / 6.0)
    outside = xp.abs(x) >= 3.0  # false for NaN, which is passed on

    def backward(dy: Array) -> Array:
        return (gate + xp.where(outside, 0.0, x) * (1.0 / 6.0)) * dy

    return x * gate, backward


def mish(xp: Namespace, x: Array) -> tuple[Array, ElementwiseBackward]:
    """Return y = x t with t = tanh(softplus(x)), softplus(x) = log(1 + exp(x)).

    Misra, "Mish: a self regularized non-monotonic activation function" (BMVC 2020).  From
    tanh' = 1 - tanh² and softplus' = sigmoid, t' = (1 - t²) sigmoid(x): y' = t + x t'.  Both are
    NaN at -infinity, which a clipped copy of x would cost a pass to avoid.
    """
    t, sigmoid_of_x = special.tanh_of_softplus(xp, x)

    def backward(dy: Array) -> Array:
        return (t + x * (1.0 - t * t) * sigmoid_of_x()) * dy

    return x * t, backward


@dataclass(frozen=True)
class Elementwise:
    """A custom activation, y = f(x) and dx = f'(x) dy, from two functions.

    Parameters
    ----------
    function, derivative : callable (xp, x) -> array
        f and f', from x (…, batch, features) to an array of that shape, in operators and
        functions of the array API standard; they must not branch on values, as the step may be
        compiled.

    See Also
    --------
    ELU, LeakyReLU : Activations with a parameter.

    Examples
    --------
    >>> from pluggable_mlp import MLP
    >>> square = (lambda xp, x: x * x, lambda xp, x: 2 * x)
    >>> mlp = MLP([2, 3, 2], activation=square)
    """

    function: Function
    derivative: Function

    def __call__(self, xp: Namespace, x: Array) -> tuple[Array, ElementwiseBackward]:
        """Return y for x, both (…, batch, features), and the backward pass."""

        def backward(dy: Array) -> Array:
            return self.derivative(xp, x) * dy

        return self.function(xp, x), backward


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
    "hardswish": hardswish,
    "mish": mish,
    "selu": selu,
}


def activations_of_layers(
    activation: ActivationChoice | Sequence[ActivationChoice], layers: int
) -> tuple[Activation, ...]:
    """Return one activation per hidden layer.

    Parameters
    ----------
    activation
        A name, an activation, or a pair of functions (f, f'), for all layers; or a list of
        these, one per layer.
    layers : int
        The number of hidden layers.

    Raises
    ------
    ValueError
        If a name is unknown, or the length of the list is not the number of hidden layers.
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
    "or a list of these, one per hidden layer"
)


def _is_pair(activation: object) -> TypeGuard[tuple[Function, Function]]:
    return (
        isinstance(activation, tuple)
        and len(activation) == 2
        and all(callable(function) for function in activation)
    )


def _activation(one: ActivationChoice) -> Activation:
    if isinstance(one, str):
        return choose(ACTIVATIONS, one, "activation")
    if _is_pair(one):
        return Elementwise(*one)
    if not callable(one):
        raise TypeError(_EXPECTED.format(one))
    return one
