"""Optimizers, each a rule for updating a parameter by its gradient.

In every rule w is a parameter, g the gradient of the loss with respect to it, and the slots have
the shape of w; t is the count of previous updates, 0 at the first.  Muon and L-BFGS, which use more
than one array, have files of their own; transforms of optimizers are in `transforms.py`, the table
of names is in `components.py`.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeAlias

from msgspec import Meta

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.arrays.shortcuts import sign
from pluggable_mlp.fields import BelowOne, Flag, NonNegative
from pluggable_mlp.host.elementary import integer_power, square_root
from pluggable_mlp.training.optimizer import (
    Arrays,
    Coefficient,
    Coefficients,
    GradientDescent,
    as_decay,
    elementwise,
    moving_average,
    scheduled_rate,
)
from pluggable_mlp.training.schedules import LearningRate

_Epsilon: TypeAlias = Annotated[float, Meta(ge=1e-30)]  # float32 can divide by it


@dataclass(frozen=True)
class SGD(GradientDescent):
    """Stochastic gradient descent: w becomes w - learning_rate d, with

        d = g                  for momentum mu = 0
        v = mu v + g,  d = v   with momentum (Polyak 1964)
        d = g + mu v           with Nesterov's momentum, v as before

    The variant is that of torch.optim (dampening 0): the learning rate is not part of v.  In
    Sutskever et al., "On the importance of initialization and momentum in deep learning" (2013),
    in Keras and in scikit-learn it is, which makes a difference if it changes.

    Parameters
    ----------
    learning_rate : float, Schedule or callable, default 0.1
        At least 0.
    momentum : float, default 0.0
        mu, at least 0 and below 1.
    nesterov : bool, default False
        Whether to use Nesterov's momentum, which requires a momentum above 0.

    Raises
    ------
    ValueError
        If a value is out of range.

    See Also
    --------
    torch.optim.SGD : The same update.

    Examples
    --------
    >>> from pluggable_mlp import MLP, SGD, get_backend, train
    >>> mlp, backend = MLP([1, 4, 2]), get_backend("numpy")
    >>> result = train(mlp, [[0.0], [1.0]], [0, 1], backend=backend, optimizer=SGD(0.1))
    >>> result.history[-1] < result.history[0]
    True
    """

    learning_rate: LearningRate = 0.1
    momentum: BelowOne = 0.0
    nesterov: Flag = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and self.momentum == 0.0:
            raise ValueError("nesterov is True, but momentum is 0; expected one above 0, as 0.9")

    @property
    def slots(self) -> tuple[str, ...]:  # type: ignore[override]  # it depends on a field
        """("velocity",), or () without momentum."""
        return ("velocity",) if self.momentum else ()

    def gradient_scale(self, c: Coefficients) -> Coefficient | None:
        """Return -learning_rate without momentum, else None."""
        methods = type(self).rule, type(self).update  # a subclass may have others, and a decay
        is_plain = methods == (SGD.rule, SGD.update) and "decay" not in c
        return -c["rate"] if is_plain and not self.momentum else None

    @elementwise()
    def rule(self, xp: Namespace, c: Coefficients, w: Array, g: Array, *slots: Array) -> Arrays:
        """Return w - rate d, and v if there is momentum."""
        if not slots:
            return (_scale_and_add(g, -c["rate"], w),)
        v = _scale_and_add(slots[0], self.momentum, g)
        # Nesterov's g + mu v has the form of v's own update.
        d = _scale_and_add(v, self.momentum, g) if self.nesterov else v
        return _scale_and_add(d, -c["rate"], w), v


@dataclass(frozen=True)
class Adagrad(GradientDescent):
    """Adagrad, for every parameter w and its gradient g:

        s = s + g^2
        w = w - learning_rate g / (sqrt(s) + epsilon)

    Duchi, Hazan, Singer, "Adaptive subgradient methods for online learning and stochastic
    optimization" (2011), in the diagonal form, as in torch.optim: s starts at 0 and epsilon is
    added outside the root.  Keras and optax start s at 0.1, and optax adds epsilon inside.

    Parameters
    ----------
    learning_rate : float, Schedule or callable, default 0.01
        At least 0.
    epsilon : float, default 1e-10
        At least 1e-30.

    Raises
    ------
    ValueError
        If a value is out of range.

    See Also
    --------
    torch.optim.Adagrad : The same update.

    Examples
    --------
    >>> from pluggable_mlp import MLP, Adagrad, get_backend, train
    >>> mlp, backend = MLP([1, 4, 2]), get_backend("numpy")
    >>> result = train(mlp, [[0.0], [1.0]], [0, 1], backend=backend, optimizer=Adagrad(0.1))
    >>> result.history[-1] < result.history[0]
    True
    """

    learning_rate: LearningRate = 0.01
    epsilon: _Epsilon = 1e-10
    slots: ClassVar[tuple[str, ...]] = ("sum_of_squares",)

    @elementwise()
    def rule(self, xp: Namespace, c: Coefficients, w: Array, g: Array, *slots: Array) -> Arrays:
        """Return w and s."""
        s = g * g
        s += slots[0]
        return _descend_by_root(xp, w, g, s, c["rate"], self.epsilon), s


@dataclass(frozen=True)
class RMSprop(GradientDescent):
    """RMSprop, for every parameter w and its gradient g:

        v = rho v + (1 - rho) g^2
        w = w - learning_rate g / (sqrt(v) + epsilon)

    Tieleman and Hinton, "Lecture 6.5 - RMSprop" (2012), whose rho is 0.9; neither centered nor
    with momentum.  epsilon is added outside the root, as in torch.optim (rho is called alpha there,
    0.99 by default); in Keras and, by default, in optax it is added inside.

    Parameters
    ----------
    learning_rate : float, Schedule or callable, default 0.001
        At least 0.
    rho : float, default 0.9
        The decay of the mean square, at least 0 and below 1.
    epsilon : float, default 1e-08
        At least 1e-30.

    Raises
    ------
    ValueError
        If a value is out of range.

    See Also
    --------
    torch.optim.RMSprop : The same update without momentum.

    Examples
    --------
    >>> from pluggable_mlp import MLP, RMSprop, get_backend, train
    >>> mlp, backend = MLP([1, 4, 2]), get_backend("numpy")
    >>> result = train(mlp, [[0.0], [1.0]], [0, 1], backend=backend, optimizer=RMSprop())
    >>> result.history[-1] < result.history[0]
    True
    """

    learning_rate: LearningRate = 0.001
    rho: BelowOne = 0.9
    epsilon: _Epsilon = 1e-8
    slots: ClassVar[tuple[str, ...]] = ("mean_square",)

    @elementwise()
    def rule(self, xp: Namespace, c: Coefficients, w: Array, g: Array, *slots: Array) -> Arrays:
        """Return w and v."""
        v = moving_average(slots[0], g * g, self.rho)
        return _descend_by_root(xp, w, g, v, c["rate"], self.epsilon), v


@dataclass(frozen=True)
class Adam(GradientDescent):
    """Adam, at update n = t + 1 = 1, 2, … for every parameter w and its gradient g:

        m = beta1 m + (1 - beta1) g
        v = beta2 v + (1 - beta2) g^2
        w = w - learning_rate m^ / (sqrt(v^) + epsilon)

    with the bias corrections m^ = m / (1 - beta1^n) and v^ = v / (1 - beta2^n).  Kingma and Ba,
    "Adam" (2015), algorithm 1, as in torch.optim and optax: epsilon is added to the root of the
    corrected v^.  Keras adds it to the root of the uncorrected v (the paper's "epsilon hat").

    Parameters
    ----------
    learning_rate : float, Schedule or callable, default 0.001
        At least 0.
    beta1 : float, default 0.9
        The decay of the mean, at least 0 and below 1.
    beta2 : float, default 0.999
        The decay of the mean square, likewise.
    epsilon : float, default 1e-08
        At least 1e-30.

    Raises
    ------
    ValueError
        If a value is out of range.

    See Also
    --------
    torch.optim.Adam, optax.adam : The same update.

    Examples
    --------
    >>> from pluggable_mlp import MLP, Adam, get_backend, train
    >>> mlp, backend = MLP([1, 4, 2]), get_backend("numpy")
    >>> result = train(mlp, [[0.0], [1.0]], [0, 1], backend=backend, optimizer=Adam(0.01))
    >>> result.history[-1] < result.history[0]
    True
    """

    learning_rate: LearningRate = 0.001
    beta1: BelowOne = 0.9
    beta2: BelowOne = 0.999
    epsilon: _Epsilon = 1e-8
    slots: ClassVar[tuple[str, ...]] = ("mean", "mean_square")

    @elementwise()
    def coefficients(self, t: int, rate: float) -> Coefficients:
        """Return rate r / (1 - beta1^n) and epsilon r, where r = sqrt(1 - beta2^n), n = t + 1."""
        root = square_root(1.0 - integer_power(self.beta2, t + 1))
        corrected = rate * root / (1.0 - integer_power(self.beta1, t + 1))
        return {"rate": corrected, "epsilon": self.epsilon * root}

    def kernel_numbers(self, c: Coefficients) -> Coefficients:
        """Return the coefficients and the decays of the means."""
        return {**c, "beta1": self.beta1, "beta2": self.beta2}

    @elementwise(kernel="adam")
    def rule(self, xp: Namespace, c: Coefficients, w: Array, g: Array, *slots: Array) -> Arrays:
        """Return w, m and v."""
        m = moving_average(slots[0], g, self.beta1)
        v = moving_average(slots[1], g * g, self.beta2)
        return _descend_by_root(xp, w, m, v, c["rate"], c["epsilon"]), m, v


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay: W becomes (1 - learning_rate weight_decay) W, then Adam.

    Loshchilov and Hutter, "Decoupled weight decay regularization" (2019), as in torch.optim and
    optax: the decay is multiplied by the learning rate, whereas the paper multiplies it only by the
    factor of the schedule.  Biases, gains and shifts do not decay.

    Parameters
    ----------
    learning_rate : float, Schedule or callable, default 0.001
        See `Adam`.
    beta1 : float, default 0.9
        See `Adam`.
    beta2 : float, default 0.999
        See `Adam`.
    epsilon : float, default 1e-08
        See `Adam`.
    weight_decay : float, Schedule or callable, default 0.01
        At least 0; a schedule must not follow the losses, as `Plateau` does.

    Raises
    ------
    ValueError
        If a value is out of range.

    See Also
    --------
    torch.optim.AdamW, optax.adamw : The same update; they decay biases, too.

    Examples
    --------
    >>> from pluggable_mlp import AdamW, make_optimizer
    >>> make_optimizer("adamw", weight_decay=0.1) == AdamW(weight_decay=0.1)
    True
    """

    weight_decay: LearningRate = 0.01

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight_decay", as_decay(self.weight_decay))
        super().__post_init__()

    def coefficients(self, t: int, rate: float) -> Coefficients:
        """Return Adam's coefficients, and the decay."""
        decay = scheduled_rate(self.weight_decay, t, "weight_decay")
        return {**super().coefficients(t, rate), "decay": 1.0 - rate * decay}


@dataclass(frozen=True)
class Lion(GradientDescent):
    """Lion, for every parameter w and its gradient g:

        d = sign(beta1 m + (1 - beta1) g)
        w = (1 - learning_rate weight_decay) w - learning_rate d
        m = beta2 m + (1 - beta2) g

    Chen et al., "Symbolic discovery of optimization algorithms" (2023), algorithm 2, with its
    sign(0) = 0.  Only the matrices W decay.  The authors recommend a learning rate 3 to 10 times
    smaller than for Adam, and a weight decay larger by the same factor.

    Parameters
    ----------
    learning_rate : float, Schedule or callable, default 0.0001
        At least 0.
    beta1 : float, default 0.9
        At least 0 and below 1.
    beta2 : float, default 0.99
        At least 0 and below 1.
    weight_decay : float, default 0.0
        At least 0.

    Raises
    ------
    ValueError
        If a value is out of range.

    See Also
    --------
    optax.lion : The same update; it decays biases, too.

    Examples
    --------
    >>> from pluggable_mlp import MLP, Lion, get_backend, train
    >>> mlp, backend = MLP([1, 4, 2]), get_backend("numpy")
    >>> result = train(mlp, [[0.0], [1.0]], [0, 1], backend=backend, optimizer=Lion(0.01))
    >>> result.history[-1] < result.history[0]
    True
    """

    learning_rate: LearningRate = 0.0001
    beta1: BelowOne = 0.9
    beta2: BelowOne = 0.99
    weight_decay: NonNegative = 0.0
    slots: ClassVar[tuple[str, ...]] = ("mean",)

    def coefficients(self, t: int, rate: float) -> Coefficients:
        """Return the rate, and the decay if there is any."""
        decay = {"decay": 1.0 - rate * self.weight_decay} if self.weight_decay else {}
        return {**super().coefficients(t, rate), **decay}

    @elementwise()
    def rule(self, xp: Namespace, c: Coefficients, w: Array, g: Array, *slots: Array) -> Arrays:
        """Return w and m."""
        d = sign(xp, moving_average(slots[0], g, self.beta1))
        return _scale_and_add(d, -c["rate"], w), moving_average(slots[0], g, self.beta2)


def _scale_and_add(x: Array, factor: Coefficient, y: Array) -> Array:
    """Return factor x + y."""
    x = x * factor
    x += y
    return x


def _descend_by_root(
    xp: Namespace, w: Array, d: Array, v: Array, rate: float, epsilon: float
) -> Array:
    """Return w - rate d / (sqrt(v) + epsilon)."""
    scale = xp.sqrt(v)
    scale += epsilon
    update = d * (1.0 / scale)
    update *= -rate
    update += w
    return update
