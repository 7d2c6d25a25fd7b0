"""Embeddings: layers that turn each number into several features.

Gorishniy, Rubachev, Babenko, "On embeddings for numerical features in tabular deep learning"
(NeurIPS 2022).

Shapes: x (…, batch, inputs); the first n inputs have an embedding of d features, and the others,
such as one-hot columns, pass through.  y is (…, batch, n d + others), feature by feature.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, ClassVar, TypeAlias

from msgspec import Meta

from pluggable_mlp import special
from pluggable_mlp.arrays import Array, Namespace, transpose
from pluggable_mlp.fields import Component, NonNegative, PositiveCount
from pluggable_mlp.network.layers import Arrays, Draw, Forward, Gradients, Layer, Mode, Shapes
from pluggable_mlp.network.parameters import INITIALIZERS, Initializer

_UNBOUNDED = 2.0**100  # practically infinite, in float32, too
_NARROWEST = 1e-30  # of bins: float32 can divide by it

_PHASES = Initializer(lambda *_: math.pi**2 / 3.0, "uniform")  # within ±pi

Embedded: TypeAlias = tuple[Array, Callable[..., tuple[Array, Arrays]]]


def embed(xp: Namespace, x: Array, count: int, function: Callable[[Array], Embedded]) -> Forward:
    """Return the result of a layer's forward, given a function of the embedded numbers.

    Parameters
    ----------
    xp
        The namespace of the arrays.
    x : array (…, batch, inputs)
    count : int
        n.
    function : callable
        Maps numbers (…, n, batch, 1) to their features (…, n, batch, d) and a backward pass, which
        returns the gradients with respect to the numbers, unless with_dx is false, and to the
        parameters.
    """
    numbers = xp.expand_dims(transpose(x[..., :count]), axis=-1)
    features, backward_of_features = function(numbers)
    width = count * features.shape[-1]
    rows = special.exchanged(xp, features)
    y = xp.reshape(rows, (*rows.shape[:-3], -1, width))

    def backward(dy: Array, *, with_dx: bool = True) -> Gradients:
        of_features = dy[..., :width]
        by_number = xp.reshape(of_features, (*dy.shape[:-2], -1, count, width // count))
        d_numbers, gradients = backward_of_features(
            special.exchanged(xp, by_number), with_dx=with_dx
        )
        if not with_dx:
            return None, gradients
        dx = transpose(d_numbers[..., 0])
        return _beside(xp, dx, dy[..., width:]), gradients

    return _beside(xp, y, x[..., count:]), backward


def _beside(xp: Namespace, x: Array, others: Array) -> Array:
    """Return x (…, m) with others (…, n), which may lack leading axes, beside it."""
    if not others.shape[-1]:
        return x
    if others.ndim < x.ndim and None in x.shape:  # of a graph: the number of rows is unknown
        others = xp.stack([others] * x.shape[0])
    elif others.ndim < x.ndim:  # rows that several networks share
        others = xp.broadcast_to(others, (*x.shape[:-1], others.shape[-1]))
    return xp.concat([x, others], axis=-1)


class Embedding(Layer, Component):
    """Base of embeddings of the first inputs of a network.

    Attributes
    ----------
    size : int
        The number of features of each.
    count : int
        The number of these inputs.
    """

    size: int
    count: int

    def widths(self, inputs: int) -> tuple[int, ...]:
        """Return how many features each of the network's inputs becomes.

        Raises
        ------
        ValueError
            If the network has fewer inputs.
        """
        if self.count > inputs:
            raise ValueError(f"embedding is of {self.count} inputs, but the network has {inputs}")
        return (self.size,) * self.count + (1,) * (inputs - self.count)


@dataclass(frozen=True)
class PiecewiseLinear(Embedding):
    """Features that are piecewise linear functions of a number, with corners at given edges.

    Version B of the package rtdl_num_embeddings: with the edges t_0 < … < t_B of an input x, its
    components are

        e_j = (x - t_(j-1)) / (t_j - t_(j-1))    for the bins j = 1 … B,

    the first at most 1, the last at least 0, the others between 0 and 1 (a single one is not
    clipped); and its d features are x w + b + e V, where V = 0 at first.

    Parameters
    ----------
    edges : sequence of sequence of float
        At least two for each of the network's first inputs, increasing by at least 1e-30.
    size : int, default 16
        d.

    Raises
    ------
    TypeError
        If the edges are not sequences of numbers.
    ValueError
        If the edges do not increase, or the size is out of range.

    See Also
    --------
    Periodic

    Examples
    --------
    >>> from pluggable_mlp import MLP, PiecewiseLinear
    >>> embedding = PiecewiseLinear([[0.0, 1.0, 2.0], [-1.0, 1.0]], size=4)
    >>> mlp = MLP([2, 8, 1], embedding=embedding, loss="squared_error")
    """

    edges: Sequence[Sequence[float]]
    size: PositiveCount = 16
    weights: ClassVar[tuple[str, ...]] = ("embedding_V",)
    buffers: ClassVar[tuple[str, ...]] = ("left", "inverse_width", "low", "high")

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            checked = tuple(tuple(float(edge) for edge in edges) for edges in self.edges)
        except (TypeError, ValueError):
            raise TypeError(
                f"edges is {self.edges!r}, expected the edges of each input, such as "
                "[[0.0, 0.5, 1.0]]"
            ) from None
        if not checked:
            raise ValueError("edges is empty, expected those of at least one input")
        for index, edges in enumerate(checked):
            are_increasing = all(right - left >= _NARROWEST for left, right in pairwise(edges))
            if len(edges) < 2 or not are_increasing or not all(map(math.isfinite, edges)):
                raise ValueError(
                    f"edges[{index}] is {edges}, expected at least two finite numbers that "
                    f"increase by at least {_NARROWEST}"
                )
        object.__setattr__(self, "edges", checked)

    @property
    def count(self) -> int:  # type: ignore[override]  # it follows from the edges
        """The number of inputs with an embedding."""
        return len(self.edges)

    @property
    def _bins(self) -> int:
        return max(map(len, self.edges)) - 1

    def shapes(self) -> Shapes:
        """Return the shapes of w and b (n, d), V (n, bins, d) and the buffers (n, bins)."""
        n, bins, d = len(self.edges), self._bins, self.size
        return {
            "embedding_w": (n, d),
            "embedding_b": (n, d),
            "embedding_V": (n, bins, d),
            **dict.fromkeys(self.buffers, (n, bins)),
        }

    def initial(self, draw: Draw) -> Arrays:
        """Return w and b uniform within ±1/sqrt(d), V = 0, and the bins as buffers.

        A feature with fewer bins than others has some components that are always 0.
        """
        n, d = len(self.edges), self.size
        # The bound is 1/sqrt(in) of weights (in, out): in = d here.
        drawn = draw({"W": (d, n)}, INITIALIZERS["inverse_sqrt_uniform"])
        again = draw({"W": (d, n)}, INITIALIZERS["inverse_sqrt_uniform"])
        bins = [self._bins_of(edges) for edges in self.edges]
        zeros = [[[0.0] * d] * self._bins] * n
        return {
            "embedding_w": drawn["W"].T,
            "embedding_b": again["W"].T,
            "embedding_V": zeros,
            **{name: [feature[name] for feature in bins] for name in self.buffers},
        }

    def _bins_of(self, edges: Sequence[float]) -> dict[str, list[float]]:
        """Return the buffers of a feature with these edges."""
        last = len(edges) - 2
        widths = [right - left for left, right in pairwise(edges)]
        padding = [0.0] * (self._bins - len(widths))
        return {
            "left": [*edges[:-1], *padding],
            "inverse_width": [*(1.0 / width for width in widths), *padding],
            "low": [*(-_UNBOUNDED * (bin == 0) for bin in range(last + 1)), *padding],
            "high": [*(_UNBOUNDED if bin == last else 1.0 for bin in range(last + 1)), *padding],
        }

    def forward(self, xp: Namespace, parameters: Arrays, x: Array, rng: Mode = None) -> Forward:
        """Return x w + b + e V of each number x, with e its components.

        Summing over the batch, dw = sum of dy x, db = sum of dy and dV = eᵀ dy; dx = dy wᵀ plus the
        sum of the components' dy Vᵀ, divided by the widths of the bins, where they are not clipped.
        """
        w, b, left, inverse, low, high = (
            xp.expand_dims(parameters[name], axis=-2)
            for name in ("embedding_w", "embedding_b", *self.buffers)
        )
        V = parameters["embedding_V"]

        def features(numbers: Array) -> Embedded:
            u = (numbers - left) * inverse
            e = xp.minimum(xp.maximum(u, low), high)

            def backward(dy: Array, *, with_dx: bool = True) -> tuple[Array, Arrays]:
                gradients = {
                    "embedding_w": special.sum(xp, dy * numbers, axis=-2),
                    "embedding_b": special.sum(xp, dy, axis=-2),
                    "embedding_V": special.transposed_times(xp, e, dy),
                }
                if not with_dx:
                    return None, gradients
                inside = (u >= low) & (u <= high)
                de = xp.where(inside, special.times_transposed(xp, dy, V) * inverse, 0.0)
                dx = special.sum(xp, de, -1, keepdims=True)
                return dx + special.sum(xp, dy * w, -1, keepdims=True), gradients

            return special.matmul(xp, e, V) + (numbers * w + b), backward

        return embed(xp, x, len(self.edges), features)


@dataclass(frozen=True)
class Periodic(Embedding):
    """Features that are waves of a number, and the number itself: PBLD.

    Holzmüller, Grinsztajn, Steinwart, "Better by default" (NeurIPS 2024), "periodic bias linear
    DenseNet": the d features of an input x are cos(2 pi x w + b) V + c, and x.

    Parameters
    ----------
    count : int
        How many of the network's first inputs have an embedding.
    size : int, default 4
        d, at least 2.
    frequencies : int, default 16
        The number of waves.
    deviation : float, default 0.1
        The standard deviation of w at first.

    Raises
    ------
    ValueError
        If a value is out of range.

    See Also
    --------
    PiecewiseLinear

    Examples
    --------
    >>> from pluggable_mlp import MLP, Periodic
    >>> mlp = MLP([2, 8, 1], embedding=Periodic(count=2), loss="squared_error")
    """

    count: PositiveCount
    weights: ClassVar[tuple[str, ...]] = ("embedding_V",)
    size: Annotated[int, Meta(ge=2)] = 4
    frequencies: PositiveCount = 16
    deviation: NonNegative = 0.1

    def shapes(self) -> Shapes:
        """Return the shapes: w, b (n, frequencies), V (n, frequencies, d - 1) and c (n, d - 1)."""
        n, f, others = self.count, self.frequencies, self.size - 1
        w = dict.fromkeys(("embedding_w", "embedding_b"), (n, f))
        return {**w, "embedding_V": (n, f, others), "embedding_c": (n, others)}

    def initial(self, draw: Draw) -> Arrays:
        """Return w normal, b uniform within ±pi, V and c uniform within ±1/sqrt(frequencies)."""
        shapes = self.shapes()
        waves = {"W": shapes["embedding_w"]}
        last = {"W": shapes["embedding_V"], "b": shapes["embedding_c"]}
        dense = draw(last, INITIALIZERS["inverse_sqrt_uniform"])
        return {
            "embedding_w": draw(waves, Initializer(lambda *_: self.deviation**2, "normal"))["W"],
            "embedding_b": draw(waves, _PHASES)["W"],
            "embedding_V": dense["W"],
            "embedding_c": dense["b"],
        }

    def forward(self, xp: Namespace, parameters: Arrays, x: Array, rng: Mode = None) -> Forward:
        """Return cos(2 pi x w + b) V + c of each number x, and x itself.

        With a the cosines and da = dy Vᵀ, summing over the batch, dV = aᵀ dy and dc = sum of dy.
        With du = -sin(2 pi x w + b) da, db = sum of du, dw = sum of 2 pi x du, and dx is the sum of
        2 pi w du over the frequencies, plus the gradient of x itself.
        """
        w, b, c = (
            xp.expand_dims(parameters[name], axis=-2)
            for name in ("embedding_w", "embedding_b", "embedding_c")
        )
        V = parameters["embedding_V"]

        def features(numbers: Array) -> Embedded:
            a, sine = special.cos_and_sin_of_turns(xp, numbers * w + b * (0.5 / math.pi))

            def backward(dy: Array, *, with_dx: bool = True) -> tuple[Array, Arrays]:
                of_dense, of_numbers = dy[..., :-1], dy[..., -1:]
                du = -sine * special.times_transposed(xp, of_dense, V)
                of_turns = du * (2.0 * math.pi)
                gradients = {
                    "embedding_w": special.sum(xp, of_turns * numbers, axis=-2),
                    "embedding_b": special.sum(xp, du, axis=-2),
                    "embedding_V": special.transposed_times(xp, a, of_dense),
                    "embedding_c": special.sum(xp, of_dense, axis=-2),
                }
                dx = special.sum(xp, of_turns * w, -1, keepdims=True) if with_dx else None
                return (of_numbers + dx if with_dx else None), gradients

            return _beside(xp, special.matmul(xp, a, V) + c, numbers), backward

        return embed(xp, x, self.count, features)
