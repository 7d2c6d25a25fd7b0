"""Which layers a network has, and in which order, from its description.

What a layer computes belongs in the files of the layers.
"""

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from pluggable_mlp.fields import Flag, choose, convert
from pluggable_mlp.network.activations import activations_of_layers
from pluggable_mlp.network.categories import Categories
from pluggable_mlp.network.embeddings import Embedding
from pluggable_mlp.network.feature_layers import ParametricActivation, Scaling, as_normalization
from pluggable_mlp.network.layers import (
    PARAMETRIZATIONS,
    ActivationLayer,
    Dropout,
    Layer,
    Noise,
    as_dropout_rate,
)
from pluggable_mlp.network.member_layers import MemberRows, Repeated
from pluggable_mlp.network.members import Networks, TabMMini

if TYPE_CHECKING:
    from pluggable_mlp.network.mlp import MLP


_OBJECTS = {
    "embedding": (Embedding, "PiecewiseLinear(edges)"),
    "category_embedding": (Categories, "Categories([9, 41])"),
    "ensemble": (TabMMini | Networks, "TabM()"),
}


def layers_of(mlp: "MLP") -> list[Layer]:
    """Return the layers of a network.

    Raises
    ------
    ValueError, TypeError
        If one of its components is unknown, out of its range or of another type.
    """
    for name, (kind, example) in _OBJECTS.items():
        if not isinstance(component := getattr(mlp, name), kind | None):
            raise TypeError(f"{name} is {component!r}, expected None or one such as {example}")
    noise, rate = Noise(mlp.input_noise), as_dropout_rate("input_dropout", mlp.input_dropout)
    layers: list[Layer] = [noise] if noise.deviation > 0.0 else []
    if rate > 0.0:
        layers.append(Dropout(rate, stream=2**32 - 1))
    if isinstance(mlp.ensemble, TabMMini) and mlp.own_batches:
        layers.append(MemberRows(mlp.own_batches))
    widths: tuple[int, ...] = (1,) * mlp.sizes[0]
    embedded = 0
    if mlp.embedding is not None:
        widths, embedded = mlp.embedding.widths(mlp.sizes[0]), mlp.embedding.count
        layers.append(mlp.embedding)
    if mlp.category_embedding is not None:
        widths = mlp.category_embedding.widths(widths, embedded)
        layers.append(mlp.category_embedding)
    if convert("input_scaling", mlp.input_scaling, Flag):
        layers.append(Scaling(sum(widths)))
    dense = choose(PARAMETRIZATIONS, mlp.parametrization, "parametrization")
    sizes = [sum(widths), *mlp.sizes[1:]]
    of_dense = [dense(*pair) for pair in pairwise(sizes)]
    in_place: list[list[Layer]] = [[layer] for layer in of_dense]
    if isinstance(mlp.ensemble, TabMMini):
        in_place = mlp.ensemble.layers(of_dense, widths)
    for layers_of_dense, others in zip(in_place, _after_dense(mlp), strict=True):
        layers += [*layers_of_dense, *others]
    if isinstance(mlp.ensemble, Networks):
        count = mlp.ensemble.members
        layers = [Repeated(count, layer) if layer.shapes() else layer for layer in layers]
    return layers


def _after_dense(mlp: "MLP") -> list[list[Layer]]:
    """Return what follows each dense layer: nothing after the last."""
    activations = activations_of_layers(mlp.activation, len(mlp.sizes) - 2)
    norm = as_normalization(mlp.norm)
    members = mlp.ensemble.members if isinstance(mlp.ensemble, TabMMini) else 1
    varies = callable(mlp.dropout)
    dropout = Dropout(0.5 if callable(mlp.dropout) else mlp.dropout, 0, members, varies)
    is_parametric = convert("parametric_activation", mlp.parametric_activation, Flag)
    following: list[list[Layer]] = []
    for index, (activation, width) in enumerate(zip(activations, mlp.sizes[1:-1], strict=True)):
        layers: list[Layer] = [] if norm is None else [norm.of_features(width)]
        parametric = ParametricActivation(activation, width)
        layers.append(parametric if is_parametric else ActivationLayer(activation))
        if dropout.rate > 0.0:
            layers.append(replace(dropout, stream=index))
        following.append(layers)
    return [*following, []]
