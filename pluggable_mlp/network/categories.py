"""Embeddings of categories: a vector for each category, instead of its one-hot column.

Shapes: x (…, batch, inputs), the last of them the one-hot columns of some features, block by
block; y is (…, batch, others + blocks d): the other inputs pass through.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Annotated

from msgspec import Meta

from pluggable_mlp import special
from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.fields import Component, PositiveCount
from pluggable_mlp.network.layers import Arrays, Draw, Forward, Gradients, Layer, Mode, Shapes
from pluggable_mlp.network.parameters import INITIALIZERS


@dataclass(frozen=True)
class Categories(Layer, Component):
    """Trained vectors of the categories of a network's last inputs, which are one-hot.

    Guo and Berkhahn, "Entity embeddings of categorical variables" (2016), with the initial values
    of Holzmüller, Grinsztajn, Steinwart, "Better by default" (NeurIPS 2024): normal.  Missing and
    unknown categories, whose columns are all at most 1/2, have a vector of their own.

    Parameters
    ----------
    blocks : sequence of int
        The number of categories of each feature, whose columns are as many of the last inputs.
    size : int, default 8
        The length of the vectors.

    Raises
    ------
    ValueError
        If there are no blocks, or a value is out of range.

    See Also
    --------
    Periodic, PiecewiseLinear : Embeddings of numbers.
    torch.nn.Embedding : A table of vectors, indexed by the numbers of categories.

    Examples
    --------
    A number, and a feature of nine categories, whose columns are the last nine inputs:

    >>> from pluggable_mlp import MLP, Categories
    >>> mlp = MLP([10, 16, 2], category_embedding=Categories([9], size=4))
    """

    blocks: Annotated[tuple[PositiveCount, ...], Meta(min_length=1)]
    size: PositiveCount = 8

    def widths(self, widths: Sequence[int], embedded: int = 0) -> tuple[int, ...]:
        """Return how many features each of the network's inputs becomes.

        Those of a block count for its first input.

        Parameters
        ----------
        widths : sequence of int
            The number of features of each input so far.
        embedded : int, default 0
            How many of the first inputs have a different embedding.

        Raises
        ------
        ValueError
            If the network has too few inputs left for them.
        """
        columns, free = sum(self.blocks), len(widths) - embedded
        if columns > free:
            raise ValueError(
                f"category_embedding is of {columns} inputs, but the network has {free} without "
                "another embedding"
            )
        vectors = (width for size in self.blocks for width in (self.size, *[0] * (size - 1)))
        return *widths[: len(widths) - columns], *vectors

    def shapes(self) -> Shapes:
        """Return the shape of E: for each block, a row for missing ones and one per category."""
        return {"category_E": (sum(self.blocks) + len(self.blocks), self.size)}

    def initial(self, draw: Draw) -> Arrays:
        """Return E from the standard normal distribution."""
        shapes = {"W": self.shapes()["category_E"]}
        return {"category_E": draw(shapes, INITIALIZERS["standard_normal"])["W"]}

    def forward(self, xp: Namespace, parameters: Arrays, x: Array, rng: Mode = None) -> Forward:
        """Return the other inputs, and H E for each block.

        A row of H has a single 1: at the category whose column is above 1/2, or else first, for a
        missing one.  dE = Hᵀ dy; H is constant where x is not 1/2, so the blocks have dx = 0.
        """
        E = parameters["category_E"]
        others = x.shape[-1] - sum(self.blocks)
        columns = pairwise(accumulate(self.blocks, initial=others))
        rows = [*pairwise(accumulate((size + 1 for size in self.blocks), initial=0))]
        hot = [_one_hot(xp, x[..., first:last]) for first, last in columns]
        features = [
            special.matmul(xp, H, E[..., first:last, :])
            for H, (first, last) in zip(hot, rows, strict=True)
        ]
        if features[0].ndim > x.ndim:  # rows that several networks share
            x = xp.broadcast_to(x, (*features[0].shape[:-1], x.shape[-1]))

        def backward(dy: Array, *, with_dx: bool = True) -> Gradients:
            starts = range(others, dy.shape[-1], self.size)
            parts = [
                special.transposed_times(xp, H, dy[..., start : start + self.size])
                for H, start in zip(hot, starts, strict=True)
            ]
            dx = None
            if with_dx:
                zeros = xp.zeros_like(x[..., others:])
                dx = xp.concat([dy[..., :others], zeros], axis=-1)
            return dx, {"category_E": xp.concat(parts, axis=-2)}

        return xp.concat([x[..., :others], *features], axis=-1), backward


def _one_hot(xp: Namespace, x: Array) -> Array:
    """Return (…, batch, 1 + categories): whether none is above 1/2, and whether each is."""
    above = xp.astype(x > 0.5, x.dtype)
    return xp.concat([1.0 - special.sum(xp, above, -1, keepdims=True), above], axis=-1)
