"""Losses of numbers, and the table of all losses by name.

`SoftmaxCrossEntropy` and `SigmoidCrossEntropy` are in `loss.py`, which says what a loss is, and of
which shapes its arrays are.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, cast

from msgspec import Meta

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.fields import Positive, choose
from pluggable_mlp.network.loss import (
    ElementwiseLoss,
    FunctionLoss,
    Loss,
    LossFunction,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
    TargetKind,
)

_LARGEST_LOG_RATE = 80.0  # exp(80) = 5.5e34: float32 has room for the sum of 6,000 of them


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
