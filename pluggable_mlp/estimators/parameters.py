"""What the estimators' parameters may be, and what is made of them: a network, a solver, a start.

Names and bounds are scikit-learn's; ours come beside them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, Options, StrOptions

from pluggable_mlp.estimators.objective import PenalizedMLP
from pluggable_mlp.namespaces import ARITHMETICS
from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.network.losses import Loss
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.network.normalization import NORMALIZATIONS, BatchNorm, LayerNorm
from pluggable_mlp.training.components import OPTIMIZERS, TRANSFORMS, make_optimizer
from pluggable_mlp.training.lbfgs import LBFGS
from pluggable_mlp.training.optimizer import Coefficients, Optimizer
from pluggable_mlp.training.optimizers import SGD, Adam
from pluggable_mlp.training.schedules import Schedule

__all__ = [
    "CONSTRAINTS",
    "Activation",
    "Callback",
    "ClassWeight",
    "RandomState",
    "Rate",
    "Solver",
    "SteppedRate",
    "Widths",
    "callbacks_of",
    "hidden_widths",
    "initial_parameters",
    "is_lbfgs",
    "make_network",
    "make_solver",
]

Widths: TypeAlias = int | Sequence[int] | NDArray[Any]
Activation: TypeAlias = str | Callable[..., Any] | tuple[Callable[..., Any], Callable[..., Any]]
Solver: TypeAlias = str | Optimizer | LBFGS
Rate: TypeAlias = str | Schedule | Callable[[int], float]
RandomState: TypeAlias = int | np.random.RandomState | None
Callback: TypeAlias = Callable[[Any], Any]
ClassWeight: TypeAlias = Mapping[Any, float] | Sequence[Mapping[Any, float]] | str | None

_LOGISTIC = "logistic"  # scikit-learn's name for the sigmoid

CONSTRAINTS: dict[str, Any] = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions({_LOGISTIC, *ACTIVATIONS}), callable, list, tuple],
    "solver": [StrOptions(set(OPTIMIZERS)), Optimizer, LBFGS],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"}), callable],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "power_t": [Interval(Real, 0, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [Interval(Real, 0, None, closed="left")],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="left")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "beta_1": [Interval(Real, 0, 1, closed="left")],
    "beta_2": [Interval(Real, 0, 1, closed="left")],
    "epsilon": [Interval(Real, 0, None, closed="neither")],
    "n_iter_no_change": [
        Interval(Integral, 1, None, closed="left"),
        Options(Real, {np.inf}),
    ],
    "max_fun": [Interval(Integral, 1, None, closed="left")],
    "dropout": [Interval(Real, 0, 1, closed="left")],
    "input_dropout": [Interval(Real, 0, 1, closed="left")],
    "input_noise": [Interval(Real, 0, None, closed="left")],
    "norm": [StrOptions(set(NORMALIZATIONS)), LayerNorm, BatchNorm, None],
    "clip_norm": [Interval(Real, 0, None, closed="neither"), None],
    "callbacks": [list, tuple, callable, None],
    "progress_bar": ["boolean"],
    "backend": [str, None],
    "device": [str, None],
    "arithmetic": [StrOptions(set(ARITHMETICS))],
}


@dataclass
class SteppedRate:
    """A learning rate that is changed between epochs.

    All are equal: a compiled step takes the rate as an argument, and serves any of them.

    Parameters
    ----------
    value : float
    """

    value: float = field(compare=False)

    def __call__(self, t: int) -> float:
        """Return the rate of any update of this epoch."""
        del t
        return self.value


@dataclass(frozen=True)
class _Adam(Adam):
    """Adam as scikit-learn has it: epsilon is added to the root of the uncorrected mean square."""

    def coefficients(self, t: int, rate: float) -> Coefficients:
        """Return Adam's coefficients, epsilon as it is."""
        return {**super().coefficients(t, rate), "epsilon": self.epsilon}


def callbacks_of(estimator: Any) -> list[Callable[[Any], Any]]:
    """Return the callbacks of an estimator, or raise a TypeError."""
    given = estimator.callbacks
    callbacks = list(given) if isinstance(given, list | tuple) else [] if given is None else [given]
    for index, callback in enumerate(callbacks):
        if not callable(callback):
            raise TypeError(
                f"callbacks[{index}] is {callback!r}, expected a function of the estimator"
            )
    return callbacks


def is_lbfgs(solver: Any) -> bool:
    """Return whether a solver takes all examples at once."""
    return solver == "lbfgs" or isinstance(solver, LBFGS)


def hidden_widths(hidden_layer_sizes: Any) -> list[int]:
    """Return the widths of the hidden layers, or raise as scikit-learn does."""
    iterable = hasattr(hidden_layer_sizes, "__iter__")
    widths = list(hidden_layer_sizes) if iterable else [hidden_layer_sizes]
    if np.any(np.asarray(widths) <= 0):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {widths}.")
    return widths


def make_network(estimator: Any, inputs: int, outputs: int, loss: Loss) -> PenalizedMLP:
    """Return the network that an estimator's parameters describe."""
    activation = estimator.activation
    if isinstance(activation, list | tuple):  # a pair of functions stays one
        activation = type(activation)(map(_own_name, activation))
    return PenalizedMLP(
        [inputs, *hidden_widths(estimator.hidden_layer_sizes), outputs],
        activation=_own_name(activation),
        loss=loss,
        dropout=estimator.dropout,
        input_dropout=estimator.input_dropout,
        input_noise=estimator.input_noise,
        norm=estimator.norm,
        alpha=float(estimator.alpha),
    )


def _own_name(activation: Any) -> Any:
    return "sigmoid" if isinstance(activation, str) and activation == _LOGISTIC else activation


def make_solver(estimator: Any, rate: SteppedRate) -> Any:
    """Return the optimizer that an estimator's parameters describe.

    Parameters
    ----------
    estimator
    rate : SteppedRate
        What "constant", "invscaling" and "adaptive" change; a schedule takes its place.
    """
    solver = estimator.solver
    if is_lbfgs(solver):
        if estimator.clip_norm is not None:
            raise ValueError(
                f"clip_norm is {estimator.clip_norm}, and lbfgs clips no gradients; take None, or "
                "another solver"
            )
        return solver if isinstance(solver, LBFGS) else LBFGS()
    if isinstance(solver, str):
        learning_rate: Any = rate if isinstance(estimator.learning_rate, str) else None
        solver = _named_solver(estimator, learning_rate or estimator.learning_rate)
    if estimator.clip_norm is not None:
        solver = TRANSFORMS["clip_norm"](solver, estimator.clip_norm)
    return solver


def _named_solver(estimator: Any, learning_rate: Callable[[int], float]) -> Any:
    if estimator.solver == "sgd":
        nesterov = bool(estimator.nesterovs_momentum) and estimator.momentum > 0.0
        return SGD(learning_rate, estimator.momentum, nesterov)
    if estimator.solver == "adam":
        return _Adam(learning_rate, estimator.beta_1, estimator.beta_2, estimator.epsilon)
    return make_optimizer(estimator.solver, learning_rate=learning_rate)


def initial_parameters(
    network: MLP, random_state: np.random.RandomState, activation: Any, dtype: str
) -> list[dict[str, Any]]:
    """Return fresh parameters as NumPy arrays: scikit-learn's, from the same random numbers.

    W (in, out) and b (out,) are uniform within ± sqrt(6 / (in + out)), or sqrt(2 / (in + out)) with
    the logistic activation (Glorot and Bengio, AISTATS 2010).
    """
    factor = 2.0 if activation == _LOGISTIC else 6.0

    def draw(shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
        bound = math.sqrt(factor / sum(shapes["W"]))
        return {name: random_state.uniform(-bound, bound, shapes[name]) for name in ("W", "b")}

    return [
        {name: np.asarray(array, dtype=dtype) for name, array in layer.initial(draw).items()}
        for layer in network.layers
        if layer.shapes()
    ]
