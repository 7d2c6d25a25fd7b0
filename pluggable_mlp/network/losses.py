"""The losses, and their table by name.

`loss.py` says what a loss is, and of which shapes its arrays are.  Cross-entropies take logits and
are stable for any finite ones: no exponent is above 0, and in the derivatives of native arithmetic
none is below -60 (-600 in float64).
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, cast

from msgspec import Meta

from pluggable_mlp import special
from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.arrays.shortcuts import in_one_kernel
from pluggable_mlp.fields import BelowOne, Component, Positive, choose
from pluggable_mlp.network.loss import (
    ElementwiseLoss,
    FunctionLoss,
    Loss,
    LossFunction,
    TargetKind,
    one_hot,
    scaled,
    weighted_average,
)

_LARGEST_LOG_RATE = 80.0  # exp(80) = 5.5e34: float32 has room for the sum of 6,000 of them


@dataclass(frozen=True)
class SoftmaxCrossEntropy(Component):
    """The mean of -log softmax(z)[target]: one class of several.

    With s = z - max(z) and t the target row, an example's loss and its derivative are

        l    = log(sum exp(s)) - sum s t
        l'   = softmax(z) - t

    since the derivative of log(sum exp(s)) is softmax(z) (the maximum cancels, as the row t
    sums to one).  Targets are class indices from 0, integers (…, batch), or rows of
    probabilities (…, batch, classes).

    Parameters
    ----------
    label_smoothing : float, default 0.0
        e of Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception architecture"
        (CVPR 2016), section 7: t becomes (1 - e) t + e / classes.  From 0 to 1, without 1.

    Raises
    ------
    ValueError
        If label_smoothing is out of its range.

    See Also
    --------
    torch.nn.CrossEntropyLoss, sklearn.metrics.log_loss

    Examples
    --------
    >>> import numpy as np
    >>> from pluggable_mlp import SoftmaxCrossEntropy
    >>> loss, dz = SoftmaxCrossEntropy()(np, np.asarray([[0.0, 0.0]]), np.asarray([0]))
    >>> round(float(loss), 4), dz.tolist()
    (0.6931, [[-0.5, 0.5]])
    """

    label_smoothing: BelowOne = 0.0
    targets: ClassVar[TargetKind] = "classes"

    def __call__(
        self, xp: Namespace, z: Array, targets: Array, sample_weight: Array | None = None
    ) -> tuple[Array, Array]:
        """Return the loss (…) and dz (…, batch, classes)."""
        t = one_hot(xp, targets, z)
        if self.label_smoothing:
            t = t * (1.0 - self.label_smoothing) + self.label_smoothing / t.shape[-1]
        largest = xp.max(z, axis=-1, keepdims=True)  # XLA may lose NaN: total has it
        s, exponentials = in_one_kernel(xp, _difference_and_exponential, z, largest)
        total = special.sum(xp, exponentials, -1, keepdims=True)
        losses = xp.log(total[..., 0]) - special.sum(xp, s * t, -1)
        loss, share = weighted_average(xp, losses, sample_weight)
        return loss, scaled(xp, exponentials * (1.0 / total) - t, share)

    def predict(self, xp: Namespace, z: Array) -> Array:
        """Return the class with the largest logit, the first of equal ones: (…, batch)."""
        return xp.argmax(z, axis=-1)

    def predict_proba(self, xp: Namespace, z: Array) -> Array:
        """Return the probability of each class, both (…, batch, classes)."""
        return special.softmax(xp, z)


def _difference_and_exponential(xp: Namespace, z: Array, largest: Array) -> tuple[Array, Array]:
    s = z - largest
    return s, xp.exp(special.without_underflow(xp, s))


class SigmoidCrossEntropy(ElementwiseLoss):
    """The mean of -t log p - (1 - t) log(1 - p) with p = sigmoid(z): yes or no, per output.

    With one output it is binary classification, with several multilabel.  As log p is
    -softplus(-z) and log(1 - p) is -softplus(z),

        l    = softplus(z) - t z = softplus(-|z|) + (max(z, 0) - t z)
        l'   = sigmoid(z) - t

    and the last form of l loses nothing to cancellation.  An example's loss is the mean over
    its outputs, as in PyTorch and Keras (scikit-learn's network sums them).  Targets are rows
    (…, batch, outputs) from 0 to 1; (…, batch) will do for one output.

    See Also
    --------
    torch.nn.BCEWithLogitsLoss, optax.sigmoid_binary_cross_entropy

    Examples
    --------
    >>> import numpy as np
    >>> from pluggable_mlp import SigmoidCrossEntropy
    >>> loss, dz = SigmoidCrossEntropy()(np, np.asarray([[0.0]]), np.asarray([[1.0]]))
    >>> round(float(loss), 4), dz.tolist()
    (0.6931, [[-0.5]])
    """

    targets: ClassVar[TargetKind] = "labels"

    def elements(self, xp: Namespace, z: Array, t: Array) -> tuple[Array, Array]:
        """Return l and l' for each output, both (…, batch, outputs)."""
        return in_one_kernel(xp, _terms_of_label, z, t)

    def predict(self, xp: Namespace, z: Array) -> Array:
        """Return 1 where the probability is above 1/2, else 0, both (…, batch, outputs)."""
        return xp.astype(z > 0.0, xp.int64)

    def predict_proba(self, xp: Namespace, z: Array) -> Array:
        """Return the probability of the label 1 for each output, both (…, batch, outputs)."""
        return special.sigmoid(xp, z)


def _terms_of_label(xp: Namespace, z: Array, t: Array) -> tuple[Array, Array]:
    values = special.softplus(xp, -xp.abs(z)) + (xp.maximum(z, 0.0) - t * z)
    return values, special.sigmoid(xp, special.without_underflow(xp, z)) - t


class SquaredError(ElementwiseLoss):
    """The mean squared error: l = d², l' = 2 d (scikit-learn's network uses half of it).

    See Also
    --------
    torch.nn.MSELoss, sklearn.metrics.mean_squared_error

    Examples
    --------
    >>> import numpy as np
    >>> from pluggable_mlp import SquaredError
    >>> loss, dz = SquaredError()(np, np.asarray([[1.0, 2.0]]), np.asarray([[0.0, 0.0]]))
    >>> round(float(loss), 4), dz.tolist()
    (2.5, [[1.0, 2.0]])
    """

    def elements(self, xp: Namespace, z: Array, t: Array) -> tuple[Array, Array]:
        """Return l and l' for each output, both (…, batch, outputs)."""
        d = z - t
        return d * d, d + d


class AbsoluteError(ElementwiseLoss):
    """The mean absolute error: l = |d|, and l' is the sign of d (0 at 0).

    See Also
    --------
    torch.nn.L1Loss, sklearn.metrics.mean_absolute_error

    Examples
    --------
    >>> import numpy as np
    >>> from pluggable_mlp import AbsoluteError
    >>> loss, dz = AbsoluteError()(np, np.asarray([[1.0, 2.0]]), np.asarray([[0.0, 0.0]]))
    >>> round(float(loss), 4), dz.tolist()
    (1.5, [[0.5, 0.5]])
    """

    def elements(self, xp: Namespace, z: Array, t: Array) -> tuple[Array, Array]:
        """Return l and l' for each output, both (…, batch, outputs)."""
        signs = xp.astype(z > t, z.dtype) - xp.astype(z < t, z.dtype)
        return xp.abs(z - t), signs


@dataclass(frozen=True)
class HuberLoss(ElementwiseLoss):
    """The Huber loss: l = d²/2 where |d| <= delta, else delta (|d| - delta/2).

    Huber, "Robust estimation of a location parameter" (1964); l' is d, clipped to +-delta.  With
    c = min(|d|, delta) both branches are l = c (|d| - c/2).

    Parameters
    ----------
    delta : float, default 1.0
        Above 0.

    Raises
    ------
    ValueError
        If delta is not positive and finite.

    See Also
    --------
    torch.nn.HuberLoss, sklearn.linear_model.HuberRegressor

    Examples
    --------
    >>> import numpy as np
    >>> from pluggable_mlp import HuberLoss
    >>> loss, dz = HuberLoss(delta=1.0)(np, np.asarray([[0.5], [3.0]]), np.asarray([[0.0], [0.0]]))
    >>> round(float(loss), 4), dz.tolist()
    (1.3125, [[0.25], [0.5]])
    """

    delta: Positive = 1.0

    def elements(self, xp: Namespace, z: Array, t: Array) -> tuple[Array, Array]:
        """Return l and l' for each output, both (…, batch, outputs)."""
        d = z - t
        size = xp.abs(d)
        c = xp.minimum(size, self.delta)
        return c * (size - c * 0.5), xp.where(d < 0.0, -c, c)


@dataclass(frozen=True)
class PinballLoss(ElementwiseLoss):
    """The pinball loss, for the quantile q of the targets: l = -q d where d < 0, else (1 - q) d.

    Koenker, Bassett, "Regression quantiles" (1978); l' is -q where d < 0, 1 - q where d > 0 and,
    as for the absolute error, 0 at 0.

    Parameters
    ----------
    quantile : float, default 0.5
        q, between 0 and 1; 0.5 is the median.

    Raises
    ------
    ValueError
        If the quantile is not between 0 and 1.

    See Also
    --------
    sklearn.metrics.mean_pinball_loss, sklearn.linear_model.QuantileRegressor

    Examples
    --------
    >>> import numpy as np
    >>> from pluggable_mlp import PinballLoss
    >>> loss, dz = PinballLoss(0.75)(np, np.asarray([[0.0], [2.0]]), np.asarray([[1.0], [1.0]]))
    >>> round(float(loss), 4), dz.tolist()
    (0.5, [[-0.375], [0.125]])
    """

    quantile: Annotated[float, Meta(gt=0, lt=1)] = 0.5

    def elements(self, xp: Namespace, z: Array, t: Array) -> tuple[Array, Array]:
        """Return l and l' for each output, both (…, batch, outputs)."""
        below = xp.astype(z < t, z.dtype) * -self.quantile
        slopes = below + xp.astype(z > t, z.dtype) * (1.0 - self.quantile)
        return slopes * (z - t), slopes


class PoissonLoss(ElementwiseLoss):
    """The negative log-likelihood of a Poisson distribution with the rate exp(z), for counts.

    l = exp(z) - t z, without log(t!), which does not depend on z; l' = exp(z) - t.  Rates are
    capped at exp(80), so that the loss and its gradient stay finite.  Targets are numbers of at
    least 0.

    See Also
    --------
    torch.nn.PoissonNLLLoss, sklearn.linear_model.PoissonRegressor

    Examples
    --------
    >>> import numpy as np
    >>> from pluggable_mlp import PoissonLoss
    >>> loss, dz = PoissonLoss()(np, np.asarray([[0.0]]), np.asarray([[2.0]]))
    >>> round(float(loss), 4), dz.tolist()
    (1.0, [[-1.0]])
    """

    targets: ClassVar[TargetKind] = "counts"

    def elements(self, xp: Namespace, z: Array, t: Array) -> tuple[Array, Array]:
        """Return l and l' for each output, both (…, batch, outputs)."""
        rates = self.predict(xp, z)
        return rates - t * z, rates - t

    def predict(self, xp: Namespace, z: Array) -> Array:
        """Return the rate exp(z) for each output, both (…, batch, outputs)."""
        return xp.exp(xp.minimum(z, _LARGEST_LOG_RATE))


LOSSES: dict[str, Loss] = {
    "softmax_cross_entropy": SoftmaxCrossEntropy(),
    "sigmoid_cross_entropy": SigmoidCrossEntropy(),
    "squared_error": SquaredError(),
    "absolute_error": AbsoluteError(),
    "huber": HuberLoss(),
    "quantile": PinballLoss(),
    "poisson": PoissonLoss(),
}


def as_loss(loss: str | Loss | LossFunction) -> Loss:
    """Return a loss given by name, as an object or as a function, or raise."""
    if isinstance(loss, str):
        return choose(LOSSES, loss, "loss")
    if isinstance(loss, type) or not callable(loss):
        raise TypeError(f"loss is {loss!r}, expected a name or a loss such as HuberLoss()")
    return cast(Loss, loss) if hasattr(loss, "predict") else FunctionLoss(loss)
