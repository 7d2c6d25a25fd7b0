"""The layers of a network, in their order, forward and backward passes through them, and the loss.

What a layer computes belongs in the files of the layers.  Nothing is checked here but components:
what users call is in `mlp.py`.

Shapes: x (…, batch, in); logits, the network's outputs, (…, batch, outputs); sample_weight
(…, batch); parameters, gradients and buffers are trees of arrays.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import compress, pairwise
from typing import TYPE_CHECKING

from pluggable_mlp.arrays import Array, Namespace
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
    Rng,
    Seed,
    Shapes,
    as_dropout_rate,
    as_words,
)
from pluggable_mlp.network.loss import Loss
from pluggable_mlp.network.member_layers import Interleaving
from pluggable_mlp.network.members import Networks, TabMMini, average_of_members, loss_of_members
from pluggable_mlp.network.parameters import Parameters, merged, split

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
        layers.append(Interleaving(mlp.own_batches))
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


class LayeredNetwork:
    """A sequence of layers with a loss; it does not hold parameters.

    Attributes
    ----------
    sizes : sequence of int
        The number of inputs, the widths of the hidden layers, the number of outputs.
    dropout : float or callable
        The rate of dropout, or a function of the count of updates.
    layers : tuple of Layer
    objective : Loss
    ensemble : TabMMini or Networks, optional
        The members that the network consists of; by default it is a single network.
    output_range : tuple of float, optional
        The least and the largest output of evaluation; training is not clipped.
    """

    sizes: Sequence[int]
    dropout: float | Callable[[int], float]
    layers: tuple[Layer, ...]
    objective: Loss
    ensemble: TabMMini | Networks | None = None
    output_range: tuple[float, float] | None = None

    @property
    def own_batches(self) -> int:
        """The number of members with batches of their own; 0 if all have the same."""
        ensemble = self.ensemble
        return ensemble.members if ensemble is not None and ensemble.own_batches else 0

    @cached_property
    def shapes(self) -> tuple[Shapes, ...]:
        """The shapes of the arrays in each dict of the parameters, by name."""
        leading = (self.ensemble.members,) if isinstance(self.ensemble, Networks) else ()
        return tuple(
            {name: (*leading, *shape) for name, shape in shapes.items()}
            for shapes in filter(None, self._shapes_of_layers)
        )

    @cached_property
    def layers_with_parameters(self) -> tuple[Layer, ...]:
        """The layer of each dict of the parameters."""
        return tuple(compress(self.layers, self._have_parameters))

    @cached_property
    def buffers(self) -> tuple[tuple[str, ...], ...]:
        """The names of the buffers (running mean and variance) in each dict of the parameters."""
        return tuple([layer.buffers for layer in self.layers_with_parameters])

    @cached_property
    def _shapes_of_layers(self) -> list[Shapes]:
        """The shapes of the arrays of each layer, perhaps none."""
        return [layer.shapes() for layer in self.layers]

    @cached_property
    def _have_parameters(self) -> tuple[bool, ...]:
        """Whether each layer has parameters: asked in every forward pass.

        It is kept apart from the layers, which may be replaced in a copy.
        """
        return tuple(map(bool, self._shapes_of_layers))

    def numbers_at(self, t: Seed) -> tuple[Array, ...]:
        """Return dropout's numbers for the step after t others, if they vary."""
        if not callable(self.dropout):
            return ()
        low, high = as_words(t)
        return Dropout(self.dropout((high << 32) + low)).numbers

    def rng_at(self, t: Seed, seed: Seed) -> Rng:
        """Return the mode of the training step after t others."""
        return Rng(seed, t, numbers=self.numbers_at(t))

    def split(self, parameters: Parameters) -> tuple[Parameters, Parameters]:
        """Return the parameters that have a gradient, and the buffers, which have none.

        Both have a dict, perhaps empty, for each dict of the parameters.  `initialize`, saved files
        and predictions keep both in one tree, because a network that predicts needs both; training
        keeps them apart, because buffers have no gradients.
        """
        buffers, trained = split(parameters, self.buffers)
        return trained, buffers

    def evaluate(self, xp: Namespace, parameters: Parameters, x: Array) -> Array:
        """Return the logits (…, batch, outputs) for x (…, batch, in), averaged over members.

        They are clipped to the `output_range`, if there is one.
        """
        z, _ = self.forward(xp, parameters, x)
        if self.ensemble is not None:
            z = average_of_members(xp, self.objective.targets, z, self.ensemble.members)
        if self.output_range is not None:
            low, high = self.output_range
            z = xp.minimum(xp.maximum(z, low), high)
        return z

    def forward(
        self, xp: Namespace, parameters: Parameters, x: Array, rng: Rng | None = None
    ) -> tuple[Array, Callable[[Array], Parameters]]:
        """Return the logits for x (…, batch, in), and the backward pass.

        Logits are (…, batch, outputs), those of members (…, k, batch, outputs).  The backward pass
        maps the gradient of the loss with respect to them to the gradients of the parameters, by
        the chain rule from the last layer to the first; in training it also returns the new
        buffers, by their names.
        """
        remaining = iter(parameters)
        backwards = []
        for layer, has_parameters in zip(self.layers, self._have_parameters, strict=True):
            layer_parameters = next(remaining) if has_parameters else {}
            x, backward = layer.forward(xp, layer_parameters, x, rng)
            backwards.append(backward)

        def backward_through_all(dy: Array) -> Parameters:
            gradients = []
            first = self._have_parameters.index(True)
            for index in reversed(range(len(backwards))):
                dy, layer_gradients = backwards[index](dy, with_dx=index > first)
                if self._have_parameters[index]:
                    gradients.append(layer_gradients)
            return gradients[::-1]

        return x, backward_through_all

    def loss_gradients_and_buffers(
        self,
        xp: Namespace,
        parameters: Parameters,
        buffers: Parameters,
        x: Array,
        targets: Array,
        sample_weight: Array | None = None,
        rng: Rng | None = None,
        gradient_scale: float | Array | None = None,
    ) -> tuple[Array, Parameters, Parameters]:
        """Return the loss, the gradients and the new buffers, unchecked and without waiting.

        The gradients, structured like the parameters, are those of the loss times `gradient_scale`.
        """
        if any(buffers):
            parameters = merged(parameters, buffers)
        z, backward = self.forward(xp, parameters, x, rng)
        if self.ensemble is None:
            loss, dz = self.objective(xp, z, targets, sample_weight)
        else:
            is_mean = isinstance(self.ensemble, TabMMini)
            loss, dz = loss_of_members(xp, self.objective, z, targets, sample_weight, is_mean)
        if gradient_scale is not None:
            dz = dz * gradient_scale
        gradients = backward(dz)
        if any(buffers):
            buffers = [
                {name: layer_gradients.pop(name, layer_buffers[name]) for name in layer_buffers}
                for layer_buffers, layer_gradients in zip(buffers, gradients, strict=True)
            ]
        return loss, gradients, buffers


def outputs(
    xp: Namespace, mlp: LayeredNetwork, name: str, parameters: Parameters, x: Array
) -> Array:
    """Return the "logits", or the result of the objective's method of that name for them."""
    z = mlp.evaluate(xp, parameters, x)
    return z if name == "logits" else getattr(mlp.objective, name)(xp, z)
