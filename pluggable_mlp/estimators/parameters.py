"""The estimators' parameters with types and bounds, objects made from them, fitted attributes.

Names and bounds are scikit-learn's, with ours added.  They describe a network, an optimizer
and the initial weights.  The solvers are in `solvers.py`.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from functools import partial, wraps
from inspect import cleandoc, signature
from numbers import Integral, Real
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar, cast, dataclass_transform

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils._param_validation import Interval, Options, StrOptions

from pluggable_mlp.arrays import Array, LibraryArray, LibraryArrays
from pluggable_mlp.estimators.objective import PenalizedMLP
from pluggable_mlp.estimators.validation import Method, move, place_of
from pluggable_mlp.namespaces import ARITHMETICS
from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.network.feature_layers import NORMALIZATIONS, BatchNorm, LayerNorm, Normalization
from pluggable_mlp.network.loss import Loss
from pluggable_mlp.network.parameters import Initializer, Parameters, map_arrays
from pluggable_mlp.training.components import OPTIMIZERS, TRANSFORMS, AnyOptimizer, make_optimizer
from pluggable_mlp.training.lbfgs import LBFGS
from pluggable_mlp.training.optimizer import Coefficients, Optimizer, Slots
from pluggable_mlp.training.optimizers import SGD, Adam
from pluggable_mlp.training.schedules import Schedule

Widths: TypeAlias = int | Sequence[int] | NDArray[Any]
Activation: TypeAlias = str | Callable[..., Any] | tuple[Callable[..., Any], Callable[..., Any]]
Solver: TypeAlias = str | AnyOptimizer
Rate: TypeAlias = str | Schedule | Callable[[int], float]
RandomState: TypeAlias = int | np.random.RandomState | None
Callback: TypeAlias = Callable[[Any], object]
ClassWeight: TypeAlias = Mapping[Any, float] | Sequence[Mapping[Any, float]] | str | None

# scikit-learn's constraint follows each type.
AtLeastZero: TypeAlias = Annotated[float, Interval(Real, 0, None, closed="left")]
Positive: TypeAlias = Annotated[float, Interval(Real, 0, None, closed="neither")]
BelowOne: TypeAlias = Annotated[float, Interval(Real, 0, 1, closed="left")]
Count: TypeAlias = Annotated[int, Interval(Integral, 1, None, closed="left")]
Switch: TypeAlias = Annotated[bool, "boolean"]
Arithmetic: TypeAlias = Annotated[str, StrOptions(set(ARITHMETICS))]

Kind = TypeVar("Kind", bound=BaseEstimator)
Estimator = TypeVar("Estimator", bound=BaseEstimator)

_LOGISTIC = "logistic"  # scikit-learn's name for the sigmoid


@dataclass
class SteppedRate:
    """A learning rate that is changed between epochs.

    All compare equal, because a compiled step takes the rate as an argument.
    """

    value: float = field(compare=False)

    def __call__(self, t: int) -> float:
        """Return the rate of this epoch's updates."""
        return self.value


@dataclass(frozen=True)
class _Adam(Adam):
    """Adam as in scikit-learn: epsilon is added to the root of the uncorrected mean square."""

    def coefficients(self, t: int, rate: float) -> Coefficients:
        """Return Adam's coefficients, with epsilon unchanged."""
        return {**super().coefficients(t, rate), "epsilon": self.epsilon}


def fits(method: Method) -> Method:
    """Let a method (self, X, …) fit a copy; check the parameters before.

    If it succeeds, the attributes of the copy become the estimator's.  No fit changes one in place,
    so the copy is shallow.
    """

    @_fit_context(prefer_skip_nested_validation=True)
    @wraps(method)
    def fit(self: Estimator, X: object, *arguments: object, **settings: object) -> Estimator:
        copied = object.__new__(type(self))
        copied.__dict__.update(vars(self))
        method(copied, X, *arguments, **settings)
        self.__dict__ = {**vars(copied)}
        return self

    return cast("Method", fit)


@dataclass_transform(eq_default=False)
def with_parameters(kind: type[Kind]) -> type[Kind]:
    """Make a dataclass of an estimator: each annotated line with a default is a parameter.

    scikit-learn checks the constraints beside the types, including those of the bases.
    """
    estimator: Any = dataclass(eq=False, repr=False)(kind)
    estimator._parameter_constraints = {
        field.name: [*field.type.__metadata__]
        for field in fields(estimator)
        if hasattr(field.type, "__metadata__")
    }
    estimator.__init__.__annotations__ = {  # for readers of its signature
        name: getattr(annotation, "__origin__", annotation)
        for name, annotation in estimator.__init__.__annotations__.items()
        if name != "return"
    }
    return kind


_SECTION = re.compile(r"(?<=\nParameters\n----------\n).*?(?=\n\n)", re.DOTALL)
_DESCRIPTION = re.compile(r"^(\w+)(.*(?:\n .*)*)", re.MULTILINE)


def describe_like(other: type[BaseEstimator]) -> Callable[[type[Kind]], type[Kind]]:
    """Describe the parameters that an estimator shares with another as the other does."""

    def describe(kind: type[Kind]) -> type[Kind]:
        if kind.__doc__ and other.__doc__:  # which `python -OO` leaves out
            own = cleandoc(kind.__doc__)
            sections = _SECTION.findall(cleandoc(other.__doc__)) + _SECTION.findall(own)
            described = dict(_DESCRIPTION.findall("\n".join(sections)))
            names = [name for name in signature(kind).parameters if name in described]
            text = "\n".join(name + described[name] for name in names)
            kind.__doc__ = own.replace(sections[-1], text) + "\n"
        return kind

    return describe


@with_parameters
class EstimatorParameters(BaseEstimator):
    """The parameters of every estimator on arrays, and the objects made from them."""

    hidden_layer_sizes: Annotated[
        Widths, "array-like", Interval(Integral, 1, None, closed="left")
    ] = (100,)
    activation: Annotated[
        Activation | Sequence[Activation],
        StrOptions({_LOGISTIC, *ACTIVATIONS}),
        callable,
        list,
        tuple,
    ] = "relu"
    _: KW_ONLY
    solver: Annotated[Solver, StrOptions(set(OPTIMIZERS)), Optimizer, LBFGS] = "adam"
    alpha: AtLeastZero = 0.0001
    batch_size: Annotated[
        int | str, StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")
    ] = "auto"
    learning_rate: Annotated[Rate, StrOptions({"constant", "invscaling", "adaptive"}), callable] = (
        "constant"
    )
    learning_rate_init: Positive = 0.001
    power_t: AtLeastZero = 0.5
    max_iter: Count = 200
    shuffle: Switch = True
    random_state: Annotated[RandomState, "random_state"] = None
    tol: AtLeastZero = 1e-4
    verbose: Annotated[bool | int, "verbose"] = False
    warm_start: Switch = False
    momentum: BelowOne = 0.9
    nesterovs_momentum: Switch = True
    early_stopping: Switch = False
    validation_fraction: BelowOne = 0.1
    beta_1: BelowOne = 0.9
    beta_2: BelowOne = 0.999
    epsilon: Positive = 1e-8
    n_iter_no_change: Annotated[
        float, Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})
    ] = 10
    max_fun: Count = 15000
    dropout: BelowOne = 0.0
    input_dropout: BelowOne = 0.0
    input_noise: AtLeastZero = 0.0
    norm: Annotated[
        str | Normalization | None, StrOptions(set(NORMALIZATIONS)), LayerNorm, BatchNorm, None
    ] = None
    clip_norm: Annotated[float | None, Interval(Real, 0, None, closed="neither"), None] = None
    n_members: Count = 1
    callbacks: Annotated[Callback | Sequence[Callback] | None, list, tuple, callable, None] = None
    backend: Annotated[str | None, str, None] = None
    device: Annotated[str | None, str, None] = None
    arithmetic: Arithmetic = "native"

    @property
    def _is_full_batch(self) -> bool:
        """Whether the solver takes all examples at once: lbfgs."""
        return self.solver == "lbfgs" or isinstance(self.solver, LBFGS)

    def _network(self, inputs: int, outputs: int, loss: Loss) -> PenalizedMLP:
        """Return the network that the parameters describe."""
        activation = self.activation
        widths = np.atleast_1d(np.asarray(self.hidden_layer_sizes, object))
        if not all(isinstance(n, int | np.integer) and n is not True and n > 0 for n in widths):
            raise ValueError(f"hidden_layer_sizes must be integers > 0, got {widths.tolist()}.")
        if isinstance(activation, list | tuple):  # a pair of functions stays one
            activation = type(activation)(map(_own_name, activation))
        return PenalizedMLP(
            [inputs, *widths.tolist(), outputs],
            activation=_own_name(activation),
            loss=loss,
            dropout=self.dropout,
            input_dropout=self.input_dropout,
            input_noise=self.input_noise,
            norm=self.norm,
            alpha=float(self.alpha),
        )

    def _optimizer(self, rate: SteppedRate) -> Optimizer:
        """Return the optimizer that the parameters describe; a schedule replaces the rate."""
        solver: Any = self.solver
        learning_rate = rate if isinstance(self.learning_rate, str) else self.learning_rate
        if solver == "sgd":
            nesterov = bool(self.nesterovs_momentum) and self.momentum > 0.0
            solver = SGD(learning_rate, self.momentum, nesterov)
        elif solver == "adam":
            solver = _Adam(learning_rate, self.beta_1, self.beta_2, self.epsilon)
        elif isinstance(solver, str):
            solver = make_optimizer(solver, learning_rate=learning_rate)
        if self.clip_norm is not None:
            solver = TRANSFORMS["clip_norm"](solver, self.clip_norm)
        return solver

    def _minimizer(self) -> LBFGS:
        """Return the optimizer for all examples at once, which takes neither members nor clips."""
        for name, unset in (("n_members", 1), ("clip_norm", None)):
            if (value := getattr(self, name)) != unset:
                raise ValueError(f"{name} is {value}, expected {unset} with the solver lbfgs")
        return self.solver if isinstance(self.solver, LBFGS) else LBFGS()

    def _has_rate(self, learning_rate: str) -> bool:
        """Return whether the rate follows this rule: as in scikit-learn, only that of sgd does."""
        return self.solver == "sgd" and self.learning_rate == learning_rate

    def _initial(self, network: PenalizedMLP, dtype: str) -> Parameters:
        """Return fresh NumPy arrays: scikit-learn's, from the same random numbers.

        Those of several members are drawn one member after the other.  W (in, out) and b (out,) are
        uniform within ± sqrt(6 / (in + out)), or sqrt(2 / (in + out)) with the logistic activation
        (Glorot and Bengio, AISTATS 2010).
        """
        factor = 2.0 if self.activation == _LOGISTIC else 6.0

        def draw(
            shapes: dict[str, tuple[int, ...]], initializer: Initializer | None = None
        ) -> dict[str, Array]:
            assert initializer is None  # no layer of these networks has its own
            bound = math.sqrt(factor / sum(shapes["W"]))
            uniform = self._random_state.uniform
            return {name: uniform(-bound, bound, shapes[name]) for name in ("W", "b")}

        members = [
            [layer.initial(draw) for layer in network.layers if layer.shapes()]
            for _ in range(self.n_members)
        ]

        if self.n_members == 1:
            return map_arrays(partial(np.asarray, dtype=dtype), members[0])
        return map_arrays(lambda *arrays: np.stack(arrays).astype(dtype), *members)


RECORDS: dict[str, list[float] | int | None] = {
    "loss_curve_": [],
    "best_loss_": None,
    "validation_scores_": None,
    "validation_loss_curve_": None,
    "best_validation_score_": None,
    "_no_improvement_count": 0,
}
"""The attributes that epochs add to, with their values before the first epoch."""


class FittedMLP(EstimatorParameters):
    """The attributes of a fit; those that hold parameters are up to date when it ends."""

    loss: str | Loss
    coefs_: list[LibraryArray]
    intercepts_: list[LibraryArray]
    norms_: LibraryArrays
    loss_: float
    loss_curve_: list[float]
    best_loss_: float | None
    validation_scores_: list[float] | None
    validation_loss_curve_: list[float] | None
    best_validation_score_: float | None
    n_iter_: int
    t_: int
    n_layers_: int
    n_outputs_: int
    _outputs_of_y: int
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]
    out_activation_: str

    _metric: ClassVar[Callable[..., float]]
    _random_state: np.random.RandomState
    _rate: SteppedRate
    _no_improvement_count: int
    _optimizer_state: tuple[Slots, int] | None = None
    """The optimizer's slots, on the backend of the attributes, and the count of its updates."""

    def _keep(self, parameters: Parameters) -> None:
        """Set the attributes that hold parameters."""
        dense = [layer for layer in parameters if "W" in layer]
        self.coefs_ = [layer["W"] for layer in dense]
        self.intercepts_ = [layer["b"] for layer in dense]
        self.norms_ = [layer for layer in parameters if "W" not in layer]

    def _parameters(self, network: PenalizedMLP) -> Parameters:
        """Return the parameters in the order of the network's layers."""
        norms = getattr(self, "norms_", [])  # who sets `coefs_` by hand may know of none
        members = (self.n_members,) if self.n_members > 1 else ()
        sizes = (*(W.shape[-2] for W in self.coefs_), self.coefs_[-1].shape[-1])
        names = [shapes.keys() for shapes in network.shapes if "W" not in shapes]
        fitted = sizes, tuple(self.coefs_[0].shape[:-2]), [layer.keys() for layer in norms]
        if fitted != (network.sizes, members, names):
            raise ValueError(
                f"hidden_layer_sizes={self.hidden_layer_sizes!r}, norm={self.norm!r}, "
                f"n_members={self.n_members} and loss={self.loss!r} describe another network than "
                f"the fitted one of sizes {[*sizes]}; fit it again, with warm_start=False"
            )
        dense, norm_layers = zip(self.coefs_, self.intercepts_, strict=True), iter(norms)
        return [
            dict(zip("Wb", next(dense), strict=True)) if "W" in shapes else next(norm_layers)
            for shapes in network.shapes
        ]

    def _record_loss(self, loss: float, iterations: int = 1) -> None:
        """Set and print the loss after further iterations."""
        self.loss_, self.n_iter_ = loss, self.n_iter_ + iterations
        self._print(f"Iteration {self.n_iter_}, loss = {loss:.8f}")

    def _record(self, loss: float, examples: int, validation: tuple[float, float] | None) -> bool:
        """Record an epoch with the score and the loss of validation, and return if it is the best.

        Curves are new lists, because an interrupt restores the attributes of the epoch before.
        """
        self._record_loss(loss)
        self.t_ += examples
        self.loss_curve_ = [*self.loss_curve_, loss]
        if validation is None:
            best = math.inf if self.best_loss_ is None else self.best_loss_
            is_best, stalled, self.best_loss_ = False, loss > best - self.tol, min(best, loss)
        else:
            score, validation_loss = validation
            self._print(f"Validation score: {score:f}")
            self.validation_scores_ = [*(self.validation_scores_ or ()), score]
            self.validation_loss_curve_ = [*(self.validation_loss_curve_ or ()), validation_loss]
            before = self.best_validation_score_
            best = -math.inf if before is None else before
            is_best, stalled = score > best, score < best + self.tol
            self.best_validation_score_ = max(best, score)
        self._no_improvement_count = self._no_improvement_count + 1 if stalled else 0
        return is_best

    def _list_of_callbacks(self) -> Sequence[Callback]:
        """Return the callbacks, or raise a TypeError if one cannot be called."""
        callbacks = [self.callbacks] if callable(self.callbacks) else self.callbacks or ()
        for callback in callbacks:
            if not callable(callback):
                raise TypeError(f"callbacks holds {callback!r}, expected functions of estimators")
        return callbacks

    def _is_stopped(self, parameters: Parameters | None) -> bool:
        """Call the callbacks with the parameters so far, and return whether one asks to stop."""
        callbacks = self._list_of_callbacks()
        if parameters is not None and callbacks:
            self._keep(move(parameters, place_of(self.coefs_[0])))
        answers = [callback(self) is True for callback in callbacks]  # all are called
        return any(answers)

    def _print(self, message: str) -> None:
        if self.verbose:
            print(message)


def _own_name(activation: Any) -> Any:
    return "sigmoid" if isinstance(activation, str) and activation == _LOGISTIC else activation
