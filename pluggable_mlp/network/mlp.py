"""The multilayer perceptron: dense layers with activations between them, and their gradients.

Shapes: x (…, batch, in); logits, the network's outputs, (…, batch, outputs);
sample_weight (…, batch); parameters are a list with one dict of arrays per layer that has any,
[{"W": (…, in, out), "b": (…, out)}, …]; gradients have the same structure.  Leading axes are
independent networks.  Unlike those of `LayeredNetwork`, the methods check their arguments.
"""

import itertools
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self, TypeAlias, overload

from pluggable_mlp.arrays import Array, LibraryArray, LibraryArrays, Namespace
from pluggable_mlp.arrays.shortcuts import array_context
from pluggable_mlp.fields import choose
from pluggable_mlp.namespaces import run, unwrapped
from pluggable_mlp.network import checks
from pluggable_mlp.network.activations import ActivationChoice
from pluggable_mlp.network.categories import Categories
from pluggable_mlp.network.embeddings import Embedding
from pluggable_mlp.network.feature_layers import Normalization
from pluggable_mlp.network.layers import Address, Arrays, Draw, Layer, Rng, Shapes, as_words
from pluggable_mlp.network.loss import Loss, LossFunction
from pluggable_mlp.network.losses import as_loss
from pluggable_mlp.network.members import Networks, TabMMini
from pluggable_mlp.network.parameters import (
    INITIALIZERS,
    Initializer,
    Parameters,
    map_arrays,
    merged,
)
from pluggable_mlp.network.passes import LayeredNetwork, layers_of
from pluggable_mlp.network.prediction_cache import Cache, cached_outputs

if TYPE_CHECKING:
    from pluggable_mlp.backends import Backend

LossAndGradients: TypeAlias = tuple[LibraryArray, LibraryArrays]
LossGradientsBuffers: TypeAlias = tuple[LibraryArray, LibraryArrays, LibraryArrays]


DRAWING = ("dropout", "input_dropout", "input_noise")
MOST_LAYERS = 10_000
"""The parameters of a network by which training draws random numbers."""


@dataclass(frozen=True)
class MLP(LayeredNetwork):
    """A multilayer perceptron, which describes the network but does not hold its parameters.

    A hidden layer consists of a dense layer and, if given, normalization, activation and dropout,
    in this order; the last layer is only dense.  Before the first come noise, dropout, embedding
    and scaling of the inputs.

    Parameters
    ----------
    sizes : sequence of int
        The number of inputs, the widths of the hidden layers, the number of outputs.
    activation : str, activation, pair of functions, or list of these, default "sigmoid"
        Activation of the hidden layers, one for all or one per layer: a name in `ACTIVATIONS`, an
        object such as `LeakyReLU(0.2)`, or a pair (f, derivative) of functions of (xp, x).
    loss : str or Loss, default "softmax_cross_entropy"
        A name in `LOSSES`, an object such as `HuberLoss(delta=2.0)`, or a function of
        (xp, z, targets, sample_weight) that returns the loss of numbers and dz.
    initializer : str, default "glorot_uniform"
        A name in `INITIALIZERS`.
    dropout : float, Schedule or callable, default 0.0
        The probability with which training drops an output of a hidden layer, or a function of the
        count of updates.
    input_dropout : float, default 0.0
        The probability with which training drops an input.
    input_noise : float, default 0.0
        The standard deviation of the uniform noise that training adds to the inputs, in the unit
        of x as the network gets it: pixels divided by 256, columns standardized.
    norm : str, LayerNorm or BatchNorm, optional
        A name in `NORMALIZATIONS`, or an object such as `BatchNorm(momentum=0.01)`.
    parametrization : {"standard", "ntk"}, default "standard"
        How dense layers compute: x W + b, or x W / sqrt(in) + b.
    output_initializer : str, optional
        A name in `INITIALIZERS` for the last layer; by default that of the others.
    input_scaling : bool, default False
        Whether each input is multiplied by a trained factor.
    parametric_activation : bool, default False
        Whether activations f become x + a (f(x) - x), with a trained a for each feature.
    embedding : PiecewiseLinear or Periodic, optional
        Turns each of the first inputs into several features.
    category_embedding : Categories, optional
        Turns the one-hot columns of categories, which are the last inputs, into vectors.
    ensemble : TabMMini, TabM or Networks, optional
        Members whose predictions are averaged; by default a single network.
    output_range : tuple of float, optional
        The least and the largest output of predictions and evaluation.  Training is not clipped.

    Raises
    ------
    ValueError
        If a size is not positive, a name is unknown or a number is out of its range.
    TypeError
        If activation, loss or norm is of another type.

    See Also
    --------
    MLPClassifier, MLPRegressor : With scikit-learn's interface.
    torch.nn.Sequential

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
    activation: ActivationChoice | Sequence[ActivationChoice] = field(
        default="sigmoid",
        hash=False,  # a list has none
    )
    loss: str | Loss | LossFunction = "softmax_cross_entropy"
    initializer: str = "glorot_uniform"
    dropout: float | Callable[[int], float] = 0.0
    input_dropout: float = 0.0
    input_noise: float = 0.0
    norm: str | Normalization | None = None
    parametrization: str = "standard"
    output_initializer: str | None = None
    input_scaling: bool = False
    parametric_activation: bool = False
    embedding: Embedding | None = None
    category_embedding: Categories | None = None
    ensemble: TabMMini | Networks | None = None
    output_range: tuple[float, float] | None = None
    objective: Loss = field(init=False, repr=False, compare=False)
    layers: tuple[Layer, ...] = field(init=False, repr=False, compare=False)
    _predictions: Cache = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", _as_sizes(self.sizes))
        if isinstance(self.activation, list):  # the caller may change its own
            object.__setattr__(self, "activation", [*self.activation])
        object.__setattr__(self, "objective", as_loss(self.loss))
        choose(INITIALIZERS, self.initializer, "initializer")
        if self.output_initializer is not None:
            choose(INITIALIZERS, self.output_initializer, "output_initializer")
        if self.output_range is not None:
            object.__setattr__(self, "output_range", _as_range(self.output_range))
        object.__setattr__(self, "layers", tuple(layers_of(self)))

    def __getstate__(self) -> dict[str, object]:  # of copies and pickles: each predicts by itself
        return {**vars(self), "_predictions": {}}

    @property
    def general(self) -> Self:
        """The network that a step is compiled for; `numbers_at` gives it all that may vary."""
        return replace(self, dropout=at_each_step) if callable(self.dropout) else self

    def initialize(self, *, seed: int, backend: "Backend", dtype: str = "float32") -> LibraryArrays:
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
        streams = itertools.count()

        def draw_by(name: str) -> Draw:
            def draw(shapes: Shapes, initializer: Initializer | None = None) -> Arrays:
                return (initializer or INITIALIZERS[name]).draw(seed, next(streams), shapes)

            return draw

        *hidden, last = [layer for layer in self.layers if layer.shapes()]
        drawn = [self._initial(layer, draw_by(self.initializer)) for layer in hidden]
        drawn.append(self._initial(last, draw_by(self.output_initializer or self.initializer)))
        return [
            {name: backend.asarray(array, dtype=dtype) for name, array in layer.items()}
            for layer in drawn
        ]

    def _initial(self, layer: Layer, draw: Draw) -> Arrays:
        """Return a layer's initial parameters: each of several networks draws its own."""
        if not isinstance(self.ensemble, Networks):
            return layer.initial(draw)
        drawn = [layer.initial(draw) for _ in range(self.ensemble.members)]
        return {name: [one[name] for one in drawn] for name in drawn[0]}

    def logits(
        self, parameters: Parameters, x: Array, *, arithmetic: str = "native"
    ) -> LibraryArray:
        """Return the outputs before any softmax, (…, batch, outputs), for x (…, batch, in).

        Parameters
        ----------
        parameters, x : list of dict of arrays, and array (…, batch, in)
            As for `loss_and_gradients`.
        arithmetic : {"native", "reproducible"}, default "native"
            How operations round.
        """
        return cached_outputs(self._predictions, self, "logits", parameters, x, arithmetic)

    def predict(
        self, parameters: Parameters, x: Array, *, arithmetic: str = "native"
    ) -> LibraryArray:
        """Return predictions for x (…, batch, in), as determined by the loss.

        These are class indices (…, batch) for softmax_cross_entropy, otherwise (…, batch, outputs):
        labels 0 and 1 for sigmoid_cross_entropy, rates for poisson, and the outputs themselves for
        other losses.

        Parameters
        ----------
        parameters, x : list of dict of arrays, and array (…, batch, in)
            As for `loss_and_gradients`.
        arithmetic : {"native", "reproducible"}, default "native"
            How operations round.
        """
        return cached_outputs(self._predictions, self, "predict", parameters, x, arithmetic)

    def predict_proba(
        self, parameters: Parameters, x: Array, *, arithmetic: str = "native"
    ) -> LibraryArray:
        """Return probabilities (…, batch, outputs) for x (…, batch, in).

        softmax_cross_entropy gives those of each class, sigmoid_cross_entropy those of label 1.

        Parameters
        ----------
        parameters, x : list of dict of arrays, and array (…, batch, in)
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
        return cached_outputs(self._predictions, self, "predict_proba", parameters, x, arithmetic)

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
    ) -> LossAndGradients: ...

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
    ) -> LossGradientsBuffers: ...

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
    ) -> LossAndGradients | LossGradientsBuffers:
        """Return the mean loss over the batch and its gradient, structured like the parameters.

        Parameters
        ----------
        parameters : list of dict of arrays
            From `initialize`, or others with the same structure.
        x : array (…, batch, in)
            In the library, device and dtype of the parameters.
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
            Without the buffers, which have no gradient.  With `Networks`, those of the sum of
            their losses.
        buffers : list of dict of arrays
            The buffers after this batch, if they were given.

        Raises
        ------
        ValueError, TypeError
            If the arrays do not fit each other or the network; the message names which.
        """
        checks.check_rng(rng)
        if buffers is not None:
            checks.check_buffers(self, parameters, buffers)
            parameters = merged(parameters, buffers)
        with array_context(x):
            xp, batch = checks.checked_batch(
                self, parameters, x, targets, sample_weight, arithmetic
            )
            address, first = None, 0
            if rng is not None:
                numbers = rng.numbers or self.numbers_at(rng.t)
                address, first = (as_words(rng.t), as_words(rng.seed), numbers), rng.first
            trees = *self.split(map_arrays(xp.asarray, parameters)), *batch
            call = loss_gradients_and_buffers, (self, first), *trees
            loss, gradients, new_buffers = unwrapped(run(xp, *call, numbers=(address,)))
        return (loss, gradients) if buffers is None else (loss, gradients, new_buffers)


def loss_gradients_and_buffers(
    xp: Namespace,
    mlp: MLP,
    first: int,
    address: Address | None,
    parameters: Parameters,
    buffers: Parameters,
    x: Array,
    targets: Array,
    sample_weight: Array | None,
) -> tuple[Array, Parameters, Parameters]:
    """Call the method of `mlp`; with an address, in a training step."""
    rng = None if address is None else Rng(address[1], address[0], first, address[2])
    return mlp.loss_gradients_and_buffers(xp, parameters, buffers, x, targets, sample_weight, rng)


def _as_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the widths of the layers as a tuple of at least two positive integers, or raise."""
    try:  # NumPy's integers count, True does not
        checked = tuple(-1 if isinstance(n, bool) else operator.index(n) for n in sizes)
    except TypeError:
        checked = ()
    if len(checked) > MOST_LAYERS:
        raise ValueError(f"sizes are {len(checked):,} numbers, expected at most {MOST_LAYERS:,}")
    if len(checked) < 2 or min(checked) < 1:
        raise ValueError(
            f"sizes is {sizes!r}, expected at least two positive integers: "
            "the inputs, the hidden layers' widths, the outputs, as in MLP([784, 100, 10])"
        )
    return checked


def _as_range(output_range: object) -> tuple[float, float]:
    """Return the least and the largest output as floats, or raise ValueError."""
    try:
        low, high = (float(number) for number in output_range)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        low, high = math.nan, math.nan
    if not -math.inf < low <= high < math.inf:
        raise ValueError(
            f"output_range is {output_range!r}, expected two numbers, the larger one last"
        )
    return low, high


def at_each_step(t: int) -> float:
    """Stand for a rate of dropout that each step supplies."""
    return 0.0
