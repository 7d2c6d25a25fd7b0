"""Layers: units with or without parameters, whose forward returns the backward.

Shapes: x (…, batch, in), y (…, batch, out), W (…, in, out), b (…, out); a gradient has the shape
of the array that it belongs to.  After `y, backward = layer.forward(xp, parameters, x)`, call
`dx, gradients = backward(dy)`: the backward is a closure over what it needs, and gradients are
returned, never stored.  The normalizations are in a file of their own.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from pluggable_mlp import special
from pluggable_mlp.arrays import Array, Namespace, device_of
from pluggable_mlp.fields import BelowOne, NonNegative, convert
from pluggable_mlp.network.activations import Activation
from pluggable_mlp.network.philox import Word, random_numbers

_RESOLUTION = 2**16  # bits of the random numbers, and so of dropout's rate
_STREAM_OF_NOISE = 2**32 - 2

Arrays = dict[str, Array]
Gradients = tuple[Array, Arrays]
Backward = Callable[..., Gradients]
Forward = tuple[Array, Backward]
Shapes = dict[str, tuple[int, ...]]
Draw = Callable[..., Arrays]
"""(shapes, initializer) -> host data by name, drawn by default by the network's initializer."""

Seed: TypeAlias = int | tuple[Word, Word]
"""From 0 to 2**64 - 1, or its lower and upper 32 bits."""
Address: TypeAlias = tuple[Seed, Seed, tuple[Array, ...]]
"""(t, seed, `MLP.numbers_at(t)`), which are numbers for a compiled step."""


def as_words(seed: Seed) -> tuple[Word, Word]:
    """Return the lower and the upper 32 bits of a seed."""
    return seed if isinstance(seed, tuple) else (seed & 0xFFFFFFFF, seed >> 32)


@dataclass(frozen=True)
class Rng:
    """The address of the random numbers of a training step, which selects training mode.

    In evaluation, None takes its place.  Random layers draw the numbers at this address; layers
    that do not differ between training and evaluation ignore it.

    Parameters
    ----------
    seed : int or pair of int
        The seed of the run, from 0 to 2**64 - 1, or its lower and upper 32 bits.
    t : int or pair of int
        The count of previous updates, likewise.
    first : int, default 0
        The index of the first row in its batch, for a micro-batch.
    numbers : tuple of number, default ()
        The layers' numbers at this step; by default `MLP.loss_and_gradients` computes them from t.

    See Also
    --------
    training_step : Passes it to the network.

    Examples
    --------
    >>> from pluggable_mlp import MLP, Rng, get_backend
    >>> backend = get_backend("numpy")
    >>> mlp = MLP([1, 4, 2], dropout=0.5)
    >>> parameters, buffers = mlp.split(mlp.initialize(seed=0, backend=backend))
    >>> x, targets = backend.asarray([[1.0]], dtype="float32"), backend.asarray([0])
    >>> loss, gradients, _ = mlp.loss_and_gradients(
    ...     parameters, x, targets, buffers=buffers, rng=Rng(seed=7, t=0)
    ... )
    """

    seed: Seed
    t: Seed
    first: int = 0
    numbers: tuple[Array, ...] = ()


Mode = Rng | None


class Layer:
    """Base of layers.

    Attributes
    ----------
    buffers : tuple of str
        The names of the parameters that have no gradient: forward passes of training measure them,
        no optimizer changes them.
    constants : dict of float
        The first value of each parameter, by name, of layers that draw none; each has a number for
        each of the `features`.
    weights : tuple of str
        The names of the parameters that consist of matrices of weights: those decay, and have
        penalties.
    """

    buffers: ClassVar[tuple[str, ...]] = ()
    constants: ClassVar[dict[str, float]] = {}
    weights: ClassVar[tuple[str, ...]] = ()
    features: int

    def shapes(self) -> Shapes:
        """Return the shapes of the parameters by name."""
        return {name: (self.features,) for name in self.constants}  # noqa: C420 - some have none

    def initial(self, draw: Draw) -> Arrays:
        """Return host data for each parameter; draw(shapes) returns weights of the initializer."""
        return {name: _full(shape, self.constants[name]) for name, shape in self.shapes().items()}

    @abstractmethod
    def forward(self, xp: Namespace, parameters: Arrays, x: Array, rng: Mode = None) -> Forward:
        """Return the output for x (…, batch, in), and the backward pass.

        backward(dy) returns dx and the gradients of the parameters by name, in training also the
        new values of the buffers.
        """


def _full(shape: tuple[int, ...], value: float) -> Array:
    """Return nested lists of this shape."""
    return [_full(shape[1:], value)] * shape[0] if shape else value


@dataclass(frozen=True)
class Dense(Layer):
    """A fully connected layer: y = x W + b."""

    weights: ClassVar[tuple[str, ...]] = ("W",)
    inputs: int
    outputs: int

    def shapes(self) -> Shapes:
        """Return {"W": (in, out), "b": (out,)}."""
        return {"W": (self.inputs, self.outputs), "b": (self.outputs,)}

    def initial(self, draw: Draw) -> Arrays:
        """Return what the initializer draws."""
        return draw(self.shapes())

    def forward(self, xp: Namespace, parameters: Arrays, x: Array, rng: Mode = None) -> Forward:
        """Return y = x W + b.

        With dy the gradient with respect to y, summing over the batch,

            dW = xᵀ dy    db = sum of dy    dx = dy Wᵀ

        The first layer of a network does not compute dx, which is not used and would be a third of
        its work.
        """
        W = parameters["W"]

        def backward(dy: Array, *, with_dx: bool = True) -> Gradients:
            dx = special.times_transposed(xp, dy, W) if with_dx else None
            dW = special.transposed_times(xp, x, dy)
            return dx, {"W": dW, "b": special.sum(xp, dy, axis=-2)}

        return special.affine(xp, x, W, parameters["b"]), backward


class NTKDense(Dense):
    """A fully connected layer in NTK parametrization: y = x W / sqrt(in) + b.

    Jacot, Gabriel, Hongler, "Neural tangent kernel" (NeurIPS 2018), section 3: with weights from
    N(0, 1) the outputs have the variance of the inputs, whatever the width, and updates with a
    given rate have the same effect at every width.
    """

    def forward(self, xp: Namespace, parameters: Arrays, x: Array, rng: Mode = None) -> Forward:
        """Return y = x W / sqrt(in) + b.

        It is `Dense` of x c with c = 1 / sqrt(in), so dW = c xᵀ dy and dx = c dy Wᵀ.
        """
        c = 1.0 / math.sqrt(self.inputs)
        y, backward_of_dense = super().forward(xp, parameters, x * c, rng)

        def backward(dy: Array, *, with_dx: bool = True) -> Gradients:
            dx, gradients = backward_of_dense(dy, with_dx=with_dx)
            return (dx * c if with_dx else None), gradients

        return y, backward


PARAMETRIZATIONS: dict[str, type[Dense]] = {"standard": Dense, "ntk": NTKDense}


@dataclass(frozen=True)
class ActivationLayer(Layer):
    """An activation as a layer, without parameters."""

    function: Activation

    def forward(self, xp: Namespace, parameters: Arrays, x: Array, rng: Mode = None) -> Forward:
        """Return y = f(x); backward(dy) returns f'(x) dy."""
        y, derivative = self.function(xp, x)

        def backward(dy: Array, *, with_dx: bool = True) -> Gradients:
            return (derivative(dy) if with_dx else None), {}

        return y, backward


def _numbers(xp: Namespace, x: Array, rng: Rng, stream: int, members: int = 1) -> Array:
    """Return numbers of 16 random bits (…, rows, features) for x (…, rows, features).

    Each example has a row for each member.  Networks along leading axes share the numbers,
    unless the words of the seed are arrays (…, 1).
    """
    features = x.shape[-1]

    def draw(xp: Namespace, first: int, rows: int) -> Array:
        numbers = random_numbers(
            xp,
            rows * features,
            seed=as_words(rng.seed),
            stream=stream,
            step=as_words(rng.t),
            device=device_of(x),
            first=(rng.first * members + first) * features,
        )
        return xp.reshape(numbers, (*numbers.shape[:-1], rows, features))

    return special.by_rows(xp, x, draw)


def as_dropout_rate(name: str, value: object) -> float:
    """Return the rate of a `Dropout`; a ValueError for one out of its range has this name."""
    rate: float = convert(name, value, BelowOne)
    if round(rate * _RESOLUTION) == _RESOLUTION:
        raise ValueError(f"{name} is {rate}, expected a probability farther from 1")
    return rate


@dataclass(frozen=True)
class Dropout(Layer):
    """Set each input to 0 with probability p in training, and divide the others by 1 - p.

    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a simple way to prevent
    neural networks from overfitting" (JMLR 15, 2014), in the inverted form, which preserves the
    mean in training and is the identity in evaluation.  With a mask m that is 1 with probability
    1 - p and otherwise 0: y = x m / (1 - p), so dx = dy m / (1 - p).

    The mask depends only on (seed, stream, step) and the place (batch, features).  Networks along
    leading axes share it, so each gives the same result as by itself.

    Parameters
    ----------
    rate : float
        p, at least 0 and less than 1, rounded to the nearest multiple of 2^-16.
    stream : int, default 0
        Unique in the network, so that each layer has its own masks: the index of the hidden
        layer whose outputs are dropped, or 2^32 - 1 for the inputs of the network.
    members : int, default 1
        How many rows each example of the batch has, each with its own mask.
    varies : bool, default False
        Whether `numbers` are those of the step, so that one compiled step serves all rates.

    Raises
    ------
    ValueError
        If the rate is out of its range.
    """

    rate: float
    stream: int = 0
    members: int = 1
    varies: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", as_dropout_rate("dropout", self.rate))

    @property
    def numbers(self) -> tuple[int, float]:
        """The threshold in 2^16 below which a random number drops an input; and 1 / (1 - p)."""
        dropped = round(self.rate * _RESOLUTION)
        return dropped, _RESOLUTION / (_RESOLUTION - dropped)

    def forward(self, xp: Namespace, parameters: Arrays, x: Array, rng: Mode = None) -> Forward:
        """Return y = x m / (1 - p) in training and x in evaluation."""
        factors = None if rng is None else self._factors(xp, x, rng)

        def apply(array: Array) -> Array:
            return array if factors is None else array * factors

        def backward(dy: Array, *, with_dx: bool = True) -> Gradients:
            return (apply(dy) if with_dx else None), {}

        return apply(x), backward

    def _factors(self, xp: Namespace, x: Array, rng: Rng) -> Array:
        """Return 0 or 1 / (1 - p) for each (batch, features) of x (…, batch, features)."""
        dropped, factor = rng.numbers if self.varies else self.numbers
        mask = xp.astype(_numbers(xp, x, rng, self.stream, self.members) >= dropped, x.dtype)
        return mask * factor


@dataclass(frozen=True)
class Noise(Layer):
    """Add random numbers of mean 0 and standard deviation s in training.

    Bishop, "Training with noise is equivalent to Tikhonov regularization" (Neural Computation 7,
    1995): to second order in s only the variance matters.  The numbers are therefore uniform, which
    takes one product where normal ones take a logarithm, a root and a cosine, and sums of many, as
    in the layer that follows, are nearly normal.  With m a number of 16 random bits,

        y = x + s 3^(1/2) (2 m + 1 - 2^16) / 2^16    dx = dy

    The numbers depend only on (seed, stream, step) and the place, as those of `Dropout`.

    Parameters
    ----------
    deviation : float
        s, at least 0.

    Raises
    ------
    ValueError
        If the deviation is negative or not finite.
    """

    deviation: float

    def __post_init__(self) -> None:
        deviation = convert("input_noise", self.deviation, NonNegative)
        object.__setattr__(self, "deviation", deviation)

    def forward(self, xp: Namespace, parameters: Arrays, x: Array, rng: Mode = None) -> Forward:
        """Return x with the numbers added in training, and x in evaluation."""
        if rng is not None:
            numbers = xp.astype(_numbers(xp, x, rng, _STREAM_OF_NOISE), x.dtype)
            odd = numbers * 2.0 - (_RESOLUTION - 1.0)  # exact
            x = x + odd * (self.deviation * math.sqrt(3.0) / _RESOLUTION)

        def backward(dy: Array, *, with_dx: bool = True) -> Gradients:
            return (dy if with_dx else None), {}

        return x, backward


def layer_kind(layer: Layer) -> str:
    """Return the word for a layer without parameters, such as "activation" or "dropout"."""
    return "activation" if isinstance(layer, ActivationLayer) else type(layer).__name__.lower()
