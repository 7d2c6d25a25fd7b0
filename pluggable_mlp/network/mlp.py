"""The multilayer perceptron: dense layers with activations between them, and their gradients.

Shapes: x (…, batch, in); logits, the network's outputs, (…, batch, outputs);
sample_weight (…, batch);
parameters are a list with one dict of arrays per layer that has any, [{"W": (…, in, out),
"b": (…, out)}, …]; gradients have the same structure.  Leading axes are independent networks.
The public methods check their arguments; `outputs`, `forward` and `loss_gradients_and_buffers`,
which predictions and the training step call, do not.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, overload

from pluggable_mlp.arrays import Array, LibraryArray, LibraryArrays, Namespace
from pluggable_mlp.namespaces import run, unwrapped
from pluggable_mlp.network.activations import activations_of_layers
from pluggable_mlp.network.checks import (
    check_buffers,
    check_rng,
    check_sample_weight,
    check_sizes,
    check_targets,
)
from pluggable_mlp.network.initializers import INITIALIZERS
from pluggable_mlp.network.layers import Activate, Dense, Dropout, Layer, Rng, layers_of_inputs
from pluggable_mlp.network.losses import LOSSES, FunctionLoss, Loss
from pluggable_mlp.network.normalization import NORMALIZATIONS, Normalization
from pluggable_mlp.network.philox import Seed, as_words
from pluggable_mlp.network.prediction_cache import PredictionCache
from pluggable_mlp.registry import choose
from pluggable_mlp.shortcuts import on_device_of

__all__ = ["MLP", "Parameters"]

Parameters = list[dict[str, Array]]


@dataclass(frozen=True)
class MLP:
    """A multilayer perceptron, which describes the network but does not hold its parameters.

    A hidden layer consists of a dense layer and, if given, normalization, activation and dropout,
    in this order; the last layer is only dense.  Before the first come noise and dropout of the
    inputs.

    Parameters
    ----------
    sizes : sequence of int
        The number of inputs, the widths of the hidden layers, the number of outputs.
    activation : str, activation, pair of functions, or list of these, default "sigmoid"
        Activation of the hidden layers, one for all or one per layer: a name (identity, sigmoid,
        tanh, relu, leaky_relu, elu, gelu, gelu_tanh, silu, softplus, hardswish, mish, selu), an
        object such as `LeakyReLU(0.2)`, or a pair (f, derivative) of functions of (xp, x).
    loss : str or Loss, default "softmax_cross_entropy"
        A name (softmax_cross_entropy, sigmoid_cross_entropy, squared_error, absolute_error, huber,
        quantile, poisson), an object such as `HuberLoss(delta=2.0)`, or a function of
        (xp, z, targets, sample_weight) that returns the loss of numbers and dz.
    initializer : str, default "glorot_uniform"
        glorot_uniform, glorot_normal, he_uniform, he_normal or standard_normal.
    dropout : float, default 0.0
        The probability with which training drops an output of a hidden layer.
    input_dropout : float, default 0.0
        The probability with which training drops an input.
    input_noise : float, default 0.0
        The standard deviation of the uniform noise that training adds to the inputs, in the unit
        of x as the network gets it: pixels divided by 256, columns standardized.
    norm : str, LayerNorm or BatchNorm, optional
        layer, batch, or an object such as `BatchNorm(momentum=0.01)`.

    Raises
    ------
    ValueError
        If a size is not positive, a name is unknown or a number is out of its range.
    TypeError
        If activation, loss or norm is of another type.

    Examples
    --------
    >>> from pluggable_mlp import MLP, get_backend
    >>> backend = get_backend("numpy")
    >>> mlp = MLP([2, 3, 2], activation="tanh")
    >>> parameters = mlp.initialize(seed=0, backend=backend)
    >>> mlp.logits(parameters, backend.asarray([[0.0, 1.0]], dtype="float32")).shape
    (1, 2)
    """

    sizes: Sequence[int]
    activation: Any = field(default="sigmoid", hash=False)  # a list has no hash
    loss: str | Loss = "softmax_cross_entropy"
    initializer: str = "glorot_uniform"
    dropout: float = 0.0
    input_dropout: float = 0.0
    input_noise: float = 0.0
    norm: str | Normalization | None = None
    objective: Loss = field(init=False, repr=False, compare=False)
    layers: tuple[Layer, ...] = field(init=False, repr=False, compare=False)
    _predictions: PredictionCache = field(
        init=False, repr=False, compare=False, default_factory=PredictionCache
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", check_sizes(self.sizes))
        if isinstance(self.activation, list):  # the caller may change its own
            object.__setattr__(self, "activation", [*self.activation])
        objective = self.loss
        if isinstance(objective, str):
            objective = choose(LOSSES, objective, "loss")
        if isinstance(objective, type) or not callable(objective):
            raise TypeError(f"loss is {objective!r}, expected a name or a loss such as HuberLoss()")
        if not hasattr(objective, "predict"):
            objective = FunctionLoss(objective)
        object.__setattr__(self, "objective", objective)
        choose(INITIALIZERS, self.initializer, "initializer")
        object.__setattr__(self, "layers", tuple(self._layers()))

    def __getstate__(self) -> dict[str, Any]:  # of copies and pickles: each predicts by itself
        return {**vars(self), "_predictions": PredictionCache()}

    def _layers(self) -> list[Layer]:
        activations = activations_of_layers(self.activation, len(self.sizes) - 2)
        norm = self.norm
        if isinstance(norm, str):
            norm = choose(NORMALIZATIONS, norm, "norm")
        if norm is not None and not isinstance(norm, Normalization):
            raise TypeError(f"norm is {norm!r}, expected None, a name, LayerNorm() or BatchNorm()")
        dropout = Dropout(self.dropout)
        layers = layers_of_inputs(self.input_noise, self.input_dropout)
        for stream, (activation, width) in enumerate(
            zip(activations, self.sizes[1:-1], strict=True)
        ):
            layers.append(Dense(self.sizes[stream], width))
            if norm is not None:
                layers.append(norm.of_features(width))
            layers.append(Activate(activation))
            if dropout.rate > 0.0:
                layers.append(replace(dropout, stream=stream))
        return [*layers, Dense(*self.sizes[-2:])]

    @cached_property
    def buffers(self) -> tuple[tuple[str, ...], ...]:
        """The names of the buffers (running mean and variance) in each dict of the parameters."""
        return tuple(layer.buffers for layer in self.layers if layer.shapes())

    @cached_property
    def _have_parameters(self) -> tuple[bool, ...]:
        """Whether each layer has parameters: asked in every forward pass.

        It is apart from the layers, which may be replaced in a copy.
        """
        return tuple(bool(layer.shapes()) for layer in self.layers)

    def initialize(self, *, seed: int, backend: Any, dtype: str = "float32") -> LibraryArrays:
        """Return initial parameters on the backend; a seed gives the same bits everywhere.

        Parameters
        ----------
        seed : int
            From 0 to 2**64 - 1.
        backend : Backend
            The backend of the arrays.
        dtype : {"float32", "float64"}, default "float32"

        Raises
        ------
        ValueError
            If the seed or the dtype is invalid.
        """
        if dtype not in ("float32", "float64"):
            raise ValueError(f"dtype is {dtype!r}, expected 'float32' or 'float64'")
        initializer = INITIALIZERS[self.initializer]
        streams = itertools.count()
        drawn = [
            layer.initial(lambda shapes: initializer.draw(seed, next(streams), shapes))
            for layer in self.layers
            if layer.shapes()
        ]
        return [
            {name: backend.asarray(array, dtype=dtype) for name, array in layer.items()}
            for layer in drawn
        ]

    def logits(
        self, parameters: Parameters, x: Array, *, arithmetic: str = "native"
    ) -> LibraryArray:
        """Return the outputs before any softmax, (…, batch, outputs), for x (…, batch, in).

        Parameters
        ----------
        parameters, x
            As for `loss_and_gradients`.
        arithmetic : {"native", "reproducible"}, default "native"
            How operations round.
        """
        z: LibraryArray = self._predictions.outputs(self, "logits", parameters, x, arithmetic)
        return z

    def predict(
        self, parameters: Parameters, x: Array, *, arithmetic: str = "native"
    ) -> LibraryArray:
        """Return predictions for x (…, batch, in), as determined by the loss.

        These are class indices (…, batch) for softmax_cross_entropy, otherwise (…, batch, outputs):
        labels 0 and 1 for sigmoid_cross_entropy, rates for poisson, and the outputs themselves for
        other losses.

        Parameters
        ----------
        parameters, x
            As for `loss_and_gradients`.
        arithmetic : {"native", "reproducible"}, default "native"
            How operations round.
        """
        y: LibraryArray = self._predictions.outputs(self, "predict", parameters, x, arithmetic)
        return y

    def predict_proba(
        self, parameters: Parameters, x: Array, *, arithmetic: str = "native"
    ) -> LibraryArray:
        """Return probabilities (…, batch, outputs) for x (…, batch, in).

        These are of each class for softmax_cross_entropy, and of label 1 for sigmoid_cross_entropy.

        Parameters
        ----------
        parameters, x
            As for `loss_and_gradients`.
        arithmetic : {"native", "reproducible"}, default "native"
            How operations round.

        Raises
        ------
        ValueError
            If the loss is not for classification.
        """
        if not hasattr(self.objective, "predict_proba"):
            raise ValueError(f"loss is {self.loss!r}, which has no probabilities; use predict")
        p: LibraryArray = self._predictions.outputs(
            self, "predict_proba", parameters, x, arithmetic
        )
        return p

    @overload
    def loss_and_gradients(
        self,
        parameters: Parameters,
        x: Array,
        targets: Array,
        *,
        sample_weight: Array | None = None,
        buffers: None = None,
        rng: Rng | None = None,
        arithmetic: str = "native",
    ) -> tuple[LibraryArray, LibraryArrays]: ...

    @overload
    def loss_and_gradients(
        self,
        parameters: Parameters,
        x: Array,
        targets: Array,
        *,
        sample_weight: Array | None = None,
        buffers: Parameters,
        rng: Rng | None = None,
        arithmetic: str = "native",
    ) -> tuple[LibraryArray, LibraryArrays, LibraryArrays]: ...

    def loss_and_gradients(
        self,
        parameters: Parameters,
        x: Array,
        targets: Array,
        *,
        sample_weight: Array | None = None,
        buffers: Parameters | None = None,
        rng: Rng | None = None,
        arithmetic: str = "native",
    ) -> tuple[Any, ...]:
        """Return the mean loss over the batch and its gradient, structured like the parameters.

        Parameters
        ----------
        parameters : list of dict of arrays
            From `initialize`, or others with the same structure.
        x : array (…, batch, in)
            Of the library, device and dtype of the parameters.
        targets : array
            Class indices from 0, (…, batch) or (…, batch, 1), or one-hot rows or probabilities
            (…, batch, classes); for other losses, rows (…, batch, outputs).
        sample_weight : array (…, batch), optional
            Weights of the examples, at least 0; the loss is then the weighted mean.
        buffers : list of dict of arrays, optional
            The running mean and variance, if the parameters do not contain them: see `split`.
        rng : Rng, optional
            For a training step, with dropout and the mean and variance of the batch; by
            default, evaluation without dropout and with the buffers.
        arithmetic : {"native", "reproducible"}, default "native"
            How operations round.

        Returns
        -------
        loss : array (…)
            One number per network.
        gradients : list of dict of arrays
            Without the buffers, which have no gradient.
        buffers : list of dict of arrays
            The buffers after this batch, if they were given.

        Raises
        ------
        ValueError, TypeError
            If the arrays do not fit each other or the network; the message names which.
        """
        check_rng(rng)
        if buffers is not None:
            check_buffers(self, parameters, buffers)
            parameters = _together(parameters, buffers)
        with on_device_of(x):
            xp, parameters, batch = self.checked_batch(
                parameters, x, targets, sample_weight, arithmetic
            )
            at = None if rng is None else (as_words(rng.t), as_words(rng.seed))
            found: tuple[Any, ...] = unwrapped(
                run(
                    xp,
                    _loss_gradients_and_buffers,
                    (self, 0 if rng is None else rng.first),
                    *self.split(parameters),
                    *batch,
                    numbers=(at,),
                )
            )
        return found[:2] if buffers is None else found

    def split(self, parameters: Parameters) -> tuple[Parameters, Parameters]:
        """Return the parameters that have a gradient, and the buffers, which have none.

        Both have a dict for each dict of the parameters, which may be empty.  `initialize`, saved
        files and predictions have both in one tree, because a network that predicts needs both;
        training has them apart, because buffers are never among gradients.
        """
        trained, buffers = [], []
        for names, layer in zip(self.buffers, parameters, strict=True):
            trained.append({name: array for name, array in layer.items() if name not in names})
            buffers.append({name: layer[name] for name in names})
        return trained, buffers

    @property
    def numbers(self) -> tuple[float, ...]:
        """The hyperparameters that a compiled step takes as arguments: none of this class."""
        return ()

    def with_numbers(self, numbers: tuple[Any, ...]) -> "MLP":
        """Return the network with other `numbers`, maybe traced ones."""
        del numbers
        return self

    def checked_batch(
        self,
        parameters: Parameters,
        x: Array,
        targets: Array,
        sample_weight: Array | None,
        arithmetic: str,
    ) -> tuple[Namespace, Parameters, tuple[Array, Array, Array | None]]:
        """Return the namespace of the arithmetic, with the parameters and the batch as its arrays.

        The arguments and the errors are those of `loss_and_gradients`.
        """
        xp, known, own_x = self._predictions.checked(self, parameters, x, arithmetic)
        networks = parameters[0]["W"].shape[:-2]
        targets = xp.asarray(check_targets(self, x, targets, networks=networks))
        if sample_weight is not None:
            check_sample_weight(x, sample_weight, networks=networks)
            sample_weight = xp.asarray(sample_weight)
        return xp, known, (own_x, targets, sample_weight)

    def outputs(self, of: str, xp: Namespace, parameters: Parameters, x: Array) -> Array:
        """Return the "logits", or what the objective's method of that name makes of them."""
        z = self.forward(xp, parameters, x)[0]
        return z if of == "logits" else getattr(self.objective, of)(xp, z)

    def forward(
        self,
        xp: Namespace,
        parameters: Parameters,
        x: Array,
        rng: Rng | None = None,
    ) -> tuple[Array, Callable[[Array], Parameters]]:
        """Return the logits for x (…, batch, in), and the backward pass.

        The backward pass maps the gradient of the loss with respect to the logits (…, batch,
        outputs) to the gradients of the parameters, by the chain rule from the last layer to the
        first; in training it also returns the new buffers, by their names.
        """
        remaining = iter(parameters)
        backwards = []
        for layer, has_parameters in zip(self.layers, self._have_parameters, strict=True):
            own = next(remaining) if has_parameters else {}
            x, backward = layer.forward(xp, own, x, rng)
            backwards.append((backward, has_parameters))

        def backward_through_all(dy: Array) -> Parameters:
            gradients = []
            first = [has_parameters for _, has_parameters in backwards].index(True)
            for index in reversed(range(len(backwards))):
                backward, has_parameters = backwards[index]
                dy, of_layer = backward(dy, with_dx=index > first)
                if has_parameters:
                    gradients.append(of_layer)
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
        gradient_scale: float | None = None,
    ) -> tuple[Array, Parameters, Parameters]:
        """Return the loss, the gradients and the new buffers, unchecked and without waiting.

        The gradients, structured like the parameters, are those of the loss times `gradient_scale`.
        """
        z, backward = self.forward(xp, _together(parameters, buffers), x, rng)
        loss, dz = self.objective(xp, z, targets, sample_weight)
        if gradient_scale is not None:
            dz = dz * gradient_scale
        gradients = backward(dz)
        moved = [
            {name: layer.pop(name, own[name]) for name in own}
            for own, layer in zip(buffers, gradients, strict=True)
        ]
        return loss, gradients, moved


def _loss_gradients_and_buffers(
    xp: Namespace,
    mlp: MLP,
    first: int,
    at: tuple[Seed, Seed] | None,
    parameters: Parameters,
    buffers: Parameters,
    x: Array,
    targets: Array,
    sample_weight: Array | None,
) -> tuple[Array, Parameters, Parameters]:
    """Call that of `MLP`; `at` is t and the seed of a training step."""
    rng = None if at is None else Rng(at[1], at[0], first)
    given = parameters, buffers, x, targets, sample_weight
    return mlp.loss_gradients_and_buffers(xp, *given, rng)


def _together(parameters: Parameters, buffers: Parameters) -> Parameters:
    """Return what `MLP.split` divides."""
    return [{**of, **own} for of, own in zip(parameters, buffers, strict=True)]
