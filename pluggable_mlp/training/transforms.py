"""Transforms: optimizers that wrap another, and change its gradients or keep an average.

Only the layers' `weights` are penalized, such as W (…, in, out), not biases, gains and shifts, as
in scikit-learn; torch.optim decays all parameters that it is given.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Self

from msgspec import Meta

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.arrays.shortcuts import sign
from pluggable_mlp.fields import BelowOne, NonNegative
from pluggable_mlp.host.elementary import integer_power
from pluggable_mlp.network.layers import Layer
from pluggable_mlp.network.parameters import Tree, map_arrays
from pluggable_mlp.training.optimizer import Coefficients, Optimizer, Slots, UpdateArguments, beside

_AVERAGE, _PENALTY = "average", "l2"


class Transform(Optimizer):
    """Base of transforms, which delegates to the inner optimizer."""

    optimizer: Optimizer

    def __post_init__(self) -> None:
        if not isinstance(self.optimizer, Optimizer):
            raise TypeError(
                f"optimizer is {self.optimizer!r}, expected one that takes gradient steps, such as "
                "SGD(0.1)"
            )
        super().__post_init__()

    def after(self, losses: Sequence[float]) -> Self:
        """Return the transform around the inner optimizer after these losses."""
        inner = self.optimizer.after(losses)
        return self if inner is self.optimizer else self.replaced(optimizer=inner)

    def coefficients_at(self, t: int) -> Coefficients:
        """Return the inner optimizer's result."""
        return self.optimizer.coefficients_at(t)

    def initial_slots(self, parameters: Tree) -> Slots:
        """Return the inner optimizer's result."""
        return self.optimizer.initial_slots(parameters)

    def update(self, before: UpdateArguments) -> tuple[Tree, Slots]:
        """Return the inner optimizer's result."""
        return self.optimizer.update(before)


class GradientTransform(Transform):
    """A transform that changes the gradients and leaves the update to the inner optimizer."""

    @abstractmethod
    def change(self, before: UpdateArguments) -> Tree:
        """Return the gradients for the inner optimizer."""

    def update(self, before: UpdateArguments) -> tuple[Tree, Slots]:
        """Return the inner optimizer's update with the changed gradients."""
        return self.optimizer.update(before._replace(gradients=self.change(before)))


@dataclass(frozen=True)
class L2(GradientTransform):
    """Add the gradient of weight_decay/2 |W|^2: dW becomes dW + weight_decay W.

    This is the weight decay of SGD, RMSprop and Adam in torch.optim.  The reported loss does not
    include the penalty.

    Parameters
    ----------
    optimizer : Optimizer
        The optimizer that receives these gradients.
    weight_decay : float
        At least 0.

    See Also
    --------
    AdamW : Decoupled weight decay.
    torch.optim.SGD : Its `weight_decay`, which decays biases, too.

    Examples
    --------
    >>> from pluggable_mlp import MLP, SGD, L2, get_backend, train
    >>> x, targets = [[0.0], [1.0]], [0, 1]
    >>> optimizer = L2(SGD(0.1), weight_decay=1e-4)
    >>> backend = get_backend("numpy")
    >>> result = train(MLP([1, 4, 2]), x, targets, backend=backend, optimizer=optimizer)
    >>> result.history[-1] < result.history[0]
    True
    """

    optimizer: Optimizer
    weight_decay: NonNegative

    def __post_init__(self) -> None:
        super().__post_init__()
        inner = self.optimizer
        while isinstance(inner, Transform) and not isinstance(inner, L2):
            inner = inner.optimizer
        if isinstance(inner, L2):
            raise ValueError(
                f"optimizer has weight_decay={inner.weight_decay} already; give it the sum"
            )

    def coefficients_at(self, t: int) -> Coefficients:
        """Return the inner optimizer's, and weight_decay."""
        return {**self.optimizer.coefficients_at(t), _PENALTY: self.weight_decay}

    def change(self, before: UpdateArguments) -> Tree:
        """Return dW + weight_decay W, and the other gradients unchanged."""
        weight_decay = before.c[_PENALTY]
        return _with_penalty(lambda W: W * beside(weight_decay, W), before)


@dataclass(frozen=True)
class L1(GradientTransform):
    """Add a subgradient of l1 |W|_1: dW becomes dW + l1 sign(W), with sign(0) = 0.

    Weights approach 0 and cross it; unlike by a proximal step, they are not set to 0.  The reported
    loss does not include the penalty.

    Parameters
    ----------
    optimizer : Optimizer
        The optimizer that receives these gradients.
    l1 : float
        At least 0.

    See Also
    --------
    L2 : Its square.

    Examples
    --------
    >>> from pluggable_mlp import MLP, SGD, L1, get_backend, train
    >>> x, targets = [[0.0], [1.0]], [0, 1]
    >>> optimizer = L1(SGD(0.1), l1=1e-4)
    >>> backend = get_backend("numpy")
    >>> result = train(MLP([1, 4, 2]), x, targets, backend=backend, optimizer=optimizer)
    >>> result.history[-1] < result.history[0]
    True
    """

    optimizer: Optimizer
    l1: NonNegative

    def change(self, before: UpdateArguments) -> Tree:
        """Return dW + l1 sign(W), and the other gradients as they are."""
        return _with_penalty(lambda W: sign(before.xp, W) * self.l1, before)


def _with_penalty(gradient: Callable[[Array], Array], before: UpdateArguments) -> Tree:
    """Return the gradients of an update plus gradient(W) for the layers' weights W."""
    together = zip(before.layers, before.gradients, before.parameters, strict=True)
    return [
        {
            name: gradient(parameters[name]) + g if name in layer.weights else g
            for name, g in gradients.items()
        }
        for layer, gradients, parameters in together
    ]


@dataclass(frozen=True)
class ClipByGlobalNorm(GradientTransform):
    """Multiply the gradients of a network by clip_norm / norm if their norm exceeds clip_norm.

    Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks" (2013),
    algorithm 1, over all arrays together, as in optax; torch's clip_grad_norm_ adds 1e-6 to the
    norm.  Each of the networks along leading axes is clipped by its own norm.  If the norm is
    infinite, finite gradients become 0.

    Parameters
    ----------
    optimizer : Optimizer
        The optimizer that receives these gradients.
    clip_norm : float
        At least 1e-30.

    See Also
    --------
    optax.clip_by_global_norm : The same; torch has `clip_grad_norm_`.

    Examples
    --------
    >>> from pluggable_mlp import MLP, SGD, ClipByGlobalNorm, get_backend, train
    >>> x, targets = [[0.0], [1.0]], [0, 1]
    >>> optimizer = ClipByGlobalNorm(SGD(0.1), clip_norm=1.0)
    >>> backend = get_backend("numpy")
    >>> result = train(MLP([1, 4, 2]), x, targets, backend=backend, optimizer=optimizer)
    >>> result.history[-1] < result.history[0]
    True
    """

    optimizer: Optimizer
    clip_norm: Annotated[float, Meta(ge=1e-30)]

    def change(self, before: UpdateArguments) -> Tree:
        """Return the gradients of each network times a factor of at most 1."""
        xp, gradients = before.xp, before.gradients
        norm = global_norm(xp, before.layers, gradients)
        # The selection keeps a norm of 0 away from the reciprocal.
        large = norm > self.clip_norm
        factor = xp.where(large, (1.0 / xp.where(large, norm, 1.0)) * self.clip_norm, 1.0)
        return map_arrays(lambda g: g * beside(factor, g), gradients)


def global_norm(xp: Namespace, layers: Sequence[Layer], gradients: Tree) -> Array:
    """Return the Euclidean norm of all gradients of a network together, (…): one per network.

    Squares that underflow become 0; squares that overflow make the norm infinite.
    """
    total: Array = 0.0
    for layer, arrays in zip(layers, gradients, strict=True):
        shapes = layer.shapes()
        for name, g in arrays.items():
            square = g * g
            for _ in shapes[name]:
                square = xp.sum(square, axis=-1)
            total = total + square
    return xp.sqrt(total)


@dataclass(frozen=True)
class AverageParameters(Transform):
    """Average the parameters: after update n = 1, 2, …, a becomes a + c (w - a), with

        c = (1 - decay) / (1 - decay^n)

    This is the moving average decay a + (1 - decay) w from 0, divided by 1 - decay^n: the bias
    correction of Adam, as in optax.ema.  torch's AveragedModel and Keras use c = 1 - decay, so that
    the first parameters influence the average for a long time.  Training is not influenced.

    Parameters
    ----------
    optimizer : Optimizer
        The optimizer that makes the updates.
    average : float
        The decay, at least 0 and below 1: 0.999 averages over about the last 1000 updates.

    See Also
    --------
    torch.optim.swa_utils.AveragedModel, optax.ema

    Examples
    --------
    >>> from pluggable_mlp import MLP, SGD, AverageParameters, get_backend, train
    >>> x, targets = [[0.0], [1.0]], [0, 1]
    >>> optimizer = AverageParameters(SGD(0.1), average=0.9)
    >>> backend = get_backend("numpy")
    >>> result = train(MLP([1, 4, 2]), x, targets, backend=backend, optimizer=optimizer)
    >>> result.history[-1] < result.history[0]
    True
    """

    optimizer: Optimizer
    average: BelowOne

    def coefficients_at(self, t: int) -> Coefficients:
        """Return the inner optimizer's, and c."""
        c = (1.0 - self.average) / (1.0 - integer_power(self.average, t + 1))
        return {**self.optimizer.coefficients_at(t), _AVERAGE: c}

    def initial_slots(self, parameters: Tree) -> Slots:
        """Return the inner optimizer's, and the parameters as the first average."""
        return {**self.optimizer.initial_slots(parameters), _AVERAGE: parameters}

    def update(self, before: UpdateArguments) -> tuple[Tree, Slots]:
        """Return the inner optimizer's update, and the average after it."""
        parameters, slots = self.optimizer.update(before)

        def approach(a: Array, w: Array) -> Array:
            return (w - a) * beside(before.c[_AVERAGE], a) + a

        average = map_arrays(approach, before.slots[_AVERAGE], parameters)
        return parameters, {**slots, _AVERAGE: average}


def averaged_parameters(slots: object, parameters: Tree) -> Tree:
    """Return the average of the parameters if the slots contain one, otherwise the parameters.

    Parameters
    ----------
    slots : dict of lists of dicts of arrays
        Such as `TrainState.slots`.
    parameters : list of dict of arrays
        Such as `TrainState.parameters`.

    Returns
    -------
    list of dict of arrays

    See Also
    --------
    AverageParameters

    Examples
    --------
    >>> from pluggable_mlp import averaged_parameters
    >>> averaged_parameters({}, [{"W": 1.0}])  # slots without an average
    [{'W': 1.0}]
    """
    return slots.get(_AVERAGE, parameters) if isinstance(slots, dict) else parameters
