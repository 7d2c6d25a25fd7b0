"""Layers with a parameter for each feature: normalizations, a scaling, trained activations.

Normalizations standardize their inputs to mean 0 and variance 1, scale and shift.

Shapes: x, y, dy, dx are (…, batch, features); gamma, beta, scale, a and the buffers are
(…, features).
"""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Self

from msgspec import Meta

from pluggable_mlp import special
from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.fields import Component, Positive, choose
from pluggable_mlp.network.activations import Activation
from pluggable_mlp.network.layers import Arrays, Forward, Gradients, Layer, Mode


def _standardize(
    xp: Namespace, x: Array, axis: int, epsilon: float
) -> tuple[Array, Array, Array, Array]:
    """Return x̂ = (x - μ) r with r = 1 / sqrt(v + epsilon), then r, μ and v, kept along the axis.

    x is (…, batch, features); μ and v are its mean and (biased) variance along the axis.
    """
    mean = xp.mean(x, axis=axis, keepdims=True)
    deviations = x - mean
    variance = xp.mean(deviations * deviations, axis=axis, keepdims=True)
    reciprocal = special.rsqrt(xp, variance + epsilon)
    return deviations * reciprocal, reciprocal, mean, variance


def _standardize_backward(
    xp: Namespace, dx_hat: Array, x_hat: Array, reciprocal: Array, axis: int
) -> Array:
    """Return dx = r (dx̂ - mean(dx̂) - x̂ mean(dx̂ x̂)), all (…, batch, features).

    Along the axis, n long: d x̂_j / d x_i = r ((1 if i = j else 0) - 1/n - x̂_i x̂_j / n), since
    dμ / dx_i = 1/n, dv / dx_i = 2 (x_i - μ) / n and dr / dv = -r³/2.  Summing dx̂_j over j gives
    the formula.
    """
    mean = xp.mean(dx_hat, axis=axis, keepdims=True)
    along = xp.mean(dx_hat * x_hat, axis=axis, keepdims=True)
    return ((dx_hat - mean) - x_hat * along) * reciprocal


class Normalization(Layer, Component):
    """Base of normalizations, whose number of features is set by the network."""

    constants: ClassVar[dict[str, float]] = {"gamma": 1.0, "beta": 0.0}

    def of_features(self, features: int) -> Self:
        """Return this normalization for the given number of features."""
        sized = copy(self)
        object.__setattr__(sized, "features", features)
        return sized


@dataclass(frozen=True)
class LayerNorm(Normalization):
    """Normalize each example over its features: y = gamma x̂ + beta.

    x̂ = (x - mean) / sqrt(variance + epsilon), with the (biased) variance of the example.
    Ba, Kiros, Hinton, "Layer normalization" (2016).  Training and evaluation do the same.  With
    dy the gradient with respect to y, summing over the batch,

        dgamma = sum of dy x̂    dbeta = sum of dy    dx̂ = dy gamma

    and dx follows from dx̂ as docs/reference/layers.md derives.

    Parameters
    ----------
    epsilon : float, default 1e-05
        Added to the variance; above 0.

    Raises
    ------
    ValueError
        If epsilon is not positive and finite.

    See Also
    --------
    torch.nn.LayerNorm

    Examples
    --------
    >>> from pluggable_mlp import MLP, LayerNorm
    >>> mlp = MLP([2, 3, 2], norm=LayerNorm(epsilon=1e-6))
    """

    epsilon: Positive = 1e-5
    features: int = field(default=0, init=False, repr=False)

    def forward(self, xp: Namespace, parameters: Arrays, x: Array, rng: Mode = None) -> Forward:
        """Return y = gamma x̂ + beta."""
        x_hat, reciprocal, _, _ = _standardize(xp, x, -1, self.epsilon)
        y, affine_backward = _affine(xp, parameters, x_hat)

        def backward(dy: Array, *, with_dx: bool = True) -> Gradients:
            dx_hat, gradients = affine_backward(dy)
            if not with_dx:
                return None, gradients
            return _standardize_backward(xp, dx_hat, x_hat, reciprocal, -1), gradients

        return y, backward


@dataclass(frozen=True)
class BatchNorm(Normalization):
    """Normalize each feature over the batch: y = gamma x̂ + beta.

    x̂ = (x - mean) / sqrt(variance + epsilon), with the (biased) variance of the batch.

    Ioffe, Szegedy, "Batch normalization" (ICML 2015), algorithm 1; the gradients are those of
    `LayerNorm`, along the other axis.  Evaluation uses a running mean and variance
    instead of those of the batch: x̂ = (x - running_mean) / sqrt(running_variance + epsilon), so
    dx is dx̂ divided by that root.  Each training step replaces these buffers by

        (1 - momentum) running + momentum measured

    with the unbiased variance, n / (n - 1) times the biased one, as in algorithm 2 (and PyTorch;
    Keras uses the biased one, and its momentum is one minus ours).  A batch of one example does
    not have a variance and leaves running_variance unchanged.

    Parameters
    ----------
    epsilon : float, default 1e-05
        Added to the variance; above 0.
    momentum : float, default 0.1
        The weight of the newest batch in the running mean and variance, from 0 to 1.

    Raises
    ------
    ValueError
        If epsilon or momentum is out of its range.

    See Also
    --------
    torch.nn.BatchNorm1d

    Examples
    --------
    >>> from pluggable_mlp import MLP, BatchNorm
    >>> mlp = MLP([2, 3, 2], norm=BatchNorm(momentum=0.01))
    """

    epsilon: Positive = 1e-5
    momentum: Annotated[float, Meta(ge=0, le=1)] = 0.1
    features: int = field(default=0, init=False, repr=False)
    buffers: ClassVar[tuple[str, ...]] = ("running_mean", "running_variance")
    constants: ClassVar[dict[str, float]] = {
        **Normalization.constants,
        "running_mean": 0.0,
        "running_variance": 1.0,
    }

    def forward(self, xp: Namespace, parameters: Arrays, x: Array, rng: Mode = None) -> Forward:
        """Return y = gamma x̂ + beta; in training, backward also gives the new buffers."""
        if rng is None:
            return self._evaluate(xp, parameters, x)
        x_hat, reciprocal, mean, variance = _standardize(xp, x, -2, self.epsilon)
        y, affine_backward = _affine(xp, parameters, x_hat)
        new = self._updated(parameters, mean, variance, x.shape[-2])

        def backward(dy: Array, *, with_dx: bool = True) -> Gradients:
            dx_hat, gradients = affine_backward(dy)
            if not with_dx:
                return None, gradients | new
            dx = _standardize_backward(xp, dx_hat, x_hat, reciprocal, -2)
            return dx, gradients | new

        return y, backward

    def _evaluate(self, xp: Namespace, parameters: Arrays, x: Array) -> Forward:
        mean, variance = (xp.expand_dims(parameters[name], axis=-2) for name in self.buffers)
        reciprocal = special.rsqrt(xp, variance + self.epsilon)
        x_hat = (x - mean) * reciprocal
        y, affine_backward = _affine(xp, parameters, x_hat)

        def backward(dy: Array, *, with_dx: bool = True) -> Gradients:
            dx_hat, gradients = affine_backward(dy)
            return (dx_hat * reciprocal if with_dx else None), gradients

        return y, backward

    def _updated(self, parameters: Arrays, mean: Array, variance: Array, batch: int) -> Arrays:
        """Return the new buffers; mean and variance are (…, 1, features)."""

        def moved(name: str, measured: Array, correction: float) -> Array:
            previous = parameters[name] * (1.0 - self.momentum)
            return previous + measured[..., 0, :] * (self.momentum * correction)

        new = {"running_mean": moved("running_mean", mean, 1.0)}
        if batch > 1:
            new["running_variance"] = moved("running_variance", variance, batch / (batch - 1))
        return new


def _affine(
    xp: Namespace, parameters: Arrays, x_hat: Array
) -> tuple[Array, Callable[[Array], Gradients]]:
    """Return gamma x̂ + beta and, from dy, dx̂ with the gradients of gamma and beta."""
    gamma, beta = (xp.expand_dims(parameters[name], axis=-2) for name in ("gamma", "beta"))

    def backward(dy: Array) -> Gradients:
        dgamma = special.sum(xp, dy * x_hat, axis=-2)
        return dy * gamma, {"gamma": dgamma, "beta": special.sum(xp, dy, axis=-2)}

    return x_hat * gamma + beta, backward


NORMALIZATIONS: dict[str, Normalization] = {"layer": LayerNorm(), "batch": BatchNorm()}


def as_normalization(norm: object) -> Normalization | None:
    """Return a normalization given by name or as an object, None for none, or raise."""
    if isinstance(norm, str):
        return choose(NORMALIZATIONS, norm, "norm")
    if norm is not None and not isinstance(norm, Normalization):
        raise TypeError(f"norm is {norm!r}, expected None, a name, LayerNorm() or BatchNorm()")
    return norm


@dataclass(frozen=True)
class Scaling(Layer):
    """A trained factor for each input: y = x scale, with scale = 1 at first.

    Holzmüller, Grinsztajn, Steinwart, "Better by default" (NeurIPS 2024), section 3: with a larger
    learning rate than the others, it selects among the inputs.
    """

    features: int
    constants: ClassVar[dict[str, float]] = {"scale": 1.0}

    def forward(self, xp: Namespace, parameters: Arrays, x: Array, rng: Mode = None) -> Forward:
        """Return y = x scale; dx = dy scale, and dscale = sum of dy x over the batch."""
        scale = xp.expand_dims(parameters["scale"], axis=-2)

        def backward(dy: Array, *, with_dx: bool = True) -> Gradients:
            dscale = special.sum(xp, dy * x, axis=-2)
            return (dy * scale if with_dx else None), {"scale": dscale}

        return x * scale, backward


@dataclass(frozen=True)
class ParametricActivation(Layer):
    """A trained mixture of an activation f and the identity: y = x + a (f(x) - x).

    Holzmüller, Grinsztajn, Steinwart, "Better by default" (NeurIPS 2024): a is per feature, 1 at
    first, with a smaller learning rate than the others.

    Parameters
    ----------
    function : callable
        f and its backward pass.
    features : int
    """

    function: Activation
    features: int
    constants: ClassVar[dict[str, float]] = {"a": 1.0}

    def forward(self, xp: Namespace, parameters: Arrays, x: Array, rng: Mode = None) -> Forward:
        """Return y = x + a (f(x) - x).

        dx = dy (1 - a) + f'(x) a dy, and da = sum of dy (f(x) - x) over the batch.
        """
        a = xp.expand_dims(parameters["a"], axis=-2)
        f, derivative = self.function(xp, x)
        y, bend = special.lerp_and_difference(xp, x, f, a)

        def backward(dy: Array, *, with_dx: bool = True) -> Gradients:
            gradients = {"a": special.sum(xp, dy * bend, axis=-2)}
            if not with_dx:
                return None, gradients
            of_f, of_x = special.complementary_products(xp, dy, a)
            return of_x + derivative(of_f), gradients

        return y, backward
