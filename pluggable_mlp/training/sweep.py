"""The function `sweep`: many networks of one form in one training, each with its own settings.

They are stacked along a leading axis: see `stacked.py`.  One that has ended leaves the stack, so
that nothing changes it any more, and the others go on.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pluggable_mlp.arrays import Array, LibraryArrays, map_nested
from pluggable_mlp.backends import Backend
from pluggable_mlp.namespaces import namespace_of, unwrapped
from pluggable_mlp.network.mlp import MLP, at_each_step
from pluggable_mlp.registry import as_count, as_flag
from pluggable_mlp.training.callbacks import EarlyStopping
from pluggable_mlp.training.evaluation import evaluate, outputs_of
from pluggable_mlp.training.examples import Examples, ExampleSettings, make_examples
from pluggable_mlp.training.loop import Position, take_epochs
from pluggable_mlp.training.losses import Loss
from pluggable_mlp.training.precision_warning import LostNumbers
from pluggable_mlp.training.stacked import (
    StackedOptimizer,
    dropout_of_networks,
    number_maker,
    order_of_networks,
    seed_of_networks,
)
from pluggable_mlp.training.step import TrainState, initial_state
from pluggable_mlp.training.steps import Steps
from pluggable_mlp.training.sweep_settings import NetworkSettings, networks_of_settings
from pluggable_mlp.training.train import check_kinds
from pluggable_mlp.training.trees import map_arrays, named_like


@dataclass(frozen=True)
class SweptNetwork:
    """One network of a `Sweep`, as it is after a training by itself.

    Attributes
    ----------
    settings : dict
        As given.
    mlp : MLP
        With its dropout.
    parameters : list of dict of arrays
        After the epoch `epoch`, on the backend.
    epoch : int
        The last one; with `patience` that with the smallest loss; 0 if the first one diverged.
    history : list of float
        The mean training loss of each epoch.
    validation_history : list of float
        The loss of the validation part after each epoch; empty without one.
    scores : dict of float
        Of the parameters on the validation part: "loss", and "accuracy", or "r2" and
        "mean_absolute_error"; empty without one.
    ended : {"epochs", "patience", "diverged"}
        Why training ended.

    See Also
    --------
    sweep

    Examples
    --------
    >>> from pluggable_mlp import MLP, get_backend, sweep
    >>> x, targets, backend = [[0.0], [1.0]], [0, 1], get_backend("numpy")
    >>> (network,) = sweep(MLP([1, 2]), x, targets, [{"seed": 3}], backend=backend).networks
    >>> network.ended, network.epoch == len(network.history)
    ('epochs', True)
    """

    settings: dict[str, Any]
    mlp: MLP
    parameters: LibraryArrays
    epoch: int
    history: list[float]
    validation_history: list[float]
    scores: dict[str, float]
    ended: str

    @property
    def loss(self) -> float:
        """The loss at `epoch`: of the validation part, else of training; infinite at epoch 0."""
        watched = self.validation_history or self.history
        return watched[self.epoch - 1] if self.epoch else math.inf


@dataclass(frozen=True)
class Sweep:
    """The result of `sweep`.

    Attributes
    ----------
    networks : list of SweptNetwork
        In the order of the settings.

    See Also
    --------
    sweep

    Examples
    --------
    >>> from pluggable_mlp import MLP, get_backend, sweep
    >>> settings = [{"learning_rate": rate} for rate in (0.0, 1.0)]
    >>> found = sweep(MLP([1, 2]), [[0.0], [1.0]], [0, 1], settings, backend=get_backend("numpy"))
    >>> found.best.settings
    {'learning_rate': 1.0}
    """

    networks: list[SweptNetwork]

    @property
    def best(self) -> SweptNetwork:
        """The network with the smallest loss, the first of equal ones; NaN is above all others."""
        return min(self.networks, key=lambda network: (math.isnan(network.loss), network.loss))


def sweep(
    mlp: MLP,
    inputs: Array,
    targets: Array,
    settings: Sequence[Mapping[str, Any]],
    *,
    backend: Backend,
    optimizer: str = "sgd",
    epochs: int = 10,
    batch_size: int = 128,
    dtype: str = "float32",
    arithmetic: str = "native",
    shuffle: bool = True,
    scale: float | None = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    validation: tuple[Any, Any] | None = None,
    patience: int | None = None,
) -> Sweep:
    """Train many networks of one form at once, each with its own settings.

    Each has the result that `train` gives with its settings: with the same bits if the arithmetic
    is reproducible, else up to rounding.

    Parameters
    ----------
    mlp : MLP
    inputs : array (examples, in)
    targets : array (examples,) or (examples, outputs)
        As for `train`.
    settings : list or tuple of mapping
        Of each network: `dropout` (by default that of the mlp), `seed` (0), and parameters of
        `make_optimizer`.  Networks may differ in `learning_rate`, a number or a schedule,
        `weight_decay`, `dropout` and `seed`.
    backend : Backend
    optimizer : str, default "sgd"
        One of `OPTIMIZERS` but lbfgs.
    epochs : int, default 10
    batch_size : int, default 128
    dtype : {"float32", "float64"}, default "float32"
    arithmetic : str, default "native"
    shuffle : bool, default True
    scale : float, optional
    sample_weight : array (examples,), optional
    class_weight : mapping, array or "balanced", optional
        As for `train`.
    validation : tuple of two arrays, optional
        Inputs and targets on which the networks are compared.
    patience : int, optional
        A network ends after so many epochs in a row without a smaller loss, of the validation part
        if there is one, and has the parameters of its best epoch: see `EarlyStopping`.

    Returns
    -------
    Sweep

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit; the message names it, its value and what was expected.

    See Also
    --------
    train
    sklearn.model_selection.GridSearchCV : One network after the other.

    Examples
    --------
    >>> from pluggable_mlp import MLP, get_backend, load_dataset, sweep
    >>> digits = load_dataset("digits")
    >>> found = sweep(
    ...     MLP([64, 20, 10]), digits.train.inputs, digits.train.targets,
    ...     [{"learning_rate": rate} for rate in (0.01, 0.1, 1.0)],
    ...     backend=get_backend("numpy"), scale=digits.scale,
    ... )
    >>> found.best.settings
    {'learning_rate': 1.0}
    """
    check_kinds(mlp, backend, None, dtype)
    networks = networks_of_settings(mlp, settings, optimizer)
    runs = [_Run(network, patience) for network in networks]
    data: ExampleSettings = {
        "backend": backend,
        "dtype": dtype,
        "scale": scale,
        "arithmetic": arithmetic,
    }
    weighting = {"sample_weight": sample_weight, "class_weight": class_weight}
    examples = make_examples(mlp, inputs, targets, **data, **weighting)
    held = None if validation is None else make_examples(mlp, *_pair(validation), **data)
    training = _Training(
        mlp,
        examples,
        held,
        backend,
        arithmetic,
        dtype,
        as_count("batch_size", batch_size, at_least=1),
        as_count("epochs", epochs, at_least=1),
        as_flag("shuffle", shuffle),
    )
    training.train(runs)
    return Sweep([training.result(run) for run in runs])


class _Run:
    """One network while it is trained."""

    def __init__(self, network: NetworkSettings, patience: int | None) -> None:
        self.settings, self.mlp, self.optimizer, self.seed = network
        self.stop = None if patience is None else EarlyStopping(patience)
        self.parameters: LibraryArrays = []
        self.epoch, self.ended = 0, ""
        self.history: list[float] = []
        self.held_history: list[float] = []

    def note(self, loss: float, held: float | None) -> bool:
        """Note the losses of an epoch; return whether the parameters after it are to be kept."""
        self.history.append(loss)
        if held is not None:
            self.held_history.append(held)
        epoch = len(self.history)
        is_kept = self.stop is None or self.stop.is_best(epoch, loss if held is None else held)
        if is_kept:
            self.epoch = epoch
        if self.stop is not None and self.stop.is_over:
            self.ended = "patience"
        return is_kept


@dataclass(frozen=True)
class _Training:
    """What the networks have in common."""

    mlp: MLP
    examples: Examples
    held: Examples | None
    backend: Backend
    arithmetic: str
    dtype: str
    batch_size: int
    epochs: int
    shuffle: bool

    def train(self, runs: Sequence[_Run]) -> None:
        """Train all networks to their ends."""
        xp = namespace_of(self.arithmetic, self.backend)
        for run in runs:
            run.parameters = run.mlp.initialize(
                seed=run.seed, backend=self.backend, dtype=self.dtype
            )
        stack = self.backend.xp.stack
        together = map_arrays(lambda *each: stack(each), *(run.parameters for run in runs))
        state = initial_state(xp, self.mlp, together, runs[0].optimizer)
        lost = LostNumbers(xp, self.examples)
        active, epoch = list(runs), 1
        while active and epoch <= self.epochs:
            state, epoch = self._until_one_ends(active, state, epoch, lost)
            going = [place for place, run in enumerate(active) if not run.ended]
            state = self._chosen(state, going)
            active = [active[place] for place in going]
        for run in active:
            run.ended = "epochs"

    def result(self, run: _Run) -> SweptNetwork:
        """Return what a network has reached."""
        scores: dict[str, float] = {}
        if self.held is not None:
            data = run.mlp, run.parameters, self.held
            scores = evaluate(*data, backend=self.backend, arithmetic=self.arithmetic)
        reached = run.parameters, run.epoch, run.history, run.held_history
        return SweptNetwork(run.settings, run.mlp, *reached, scores, run.ended)

    def _until_one_ends(
        self, active: list[_Run], state: TrainState, epoch: int, lost: LostNumbers
    ) -> tuple[TrainState, int]:
        """Train up to the epoch in which a network ends; return the state and the next epoch."""
        steps = self._steps(active, state)
        seeds = [run.seed for run in active] if self.shuffle else None
        training = take_epochs(
            steps,
            self.examples,
            order=order_of_networks(seeds),
            epochs=self.epochs,
            start=Position(unwrapped(state), epoch),
        )
        for progress in training:
            if progress.ended:
                epoch = progress.epoch + 1
                losses = progress.losses.mean()
                assert isinstance(losses, list)  # of the networks
                progress.followed = losses
                self._note(active, steps, [*map(_as_float, losses)], lost)
                if any(run.ended for run in active):
                    break
        return steps.state, epoch

    def _steps(self, active: list[_Run], state: TrainState) -> Steps:
        """Return the steps of a stack of networks."""
        xp = namespace_of(self.arithmetic, self.backend)
        as_array = number_maker(xp, self.backend, self.dtype)
        rates = [rate for run in active if not callable(rate := run.mlp.dropout)]
        numbers = dropout_of_networks(rates, self.backend, as_array) if any(rates) else ()
        return Steps(
            xp,
            replace(self.mlp, dropout=at_each_step if numbers else 0.0),
            StackedOptimizer.of([run.optimizer for run in active], as_array),
            self.examples.kind,
            state,
            backend=self.backend,
            batch_size=self.batch_size,
            seed=seed_of_networks([run.seed for run in active], self.backend),
            numbers=numbers,
        )

    def _note(
        self, active: list[_Run], steps: Steps, losses: list[float], lost: LostNumbers
    ) -> None:
        """Note what the networks are after an epoch."""
        parameters = unwrapped(named_like(steps.names, steps.state.inference_parameters))
        held = self._held_losses(parameters, len(active))
        lost.warn({name: int(of) for name, of in lost.counts(parameters).items()}, stacklevel=5)
        finite = self._are_finite(parameters)
        for place, (run, loss, held_loss) in enumerate(zip(active, losses, held, strict=True)):
            if not (math.isfinite(loss) and finite[place]):
                run.ended = "diverged"
            elif run.note(loss, held_loss):
                run.parameters = map_arrays(
                    lambda of, place=place: self.backend.xp.asarray(of[place, ...], copy=True),
                    parameters,
                )

    def _held_losses(self, parameters: LibraryArrays, count: int) -> list[float | None]:
        """Return the loss of each of so many networks on the validation part, if there is one."""
        if self.held is None:
            return [None] * count
        data = self.mlp, parameters, self.held
        found = outputs_of(*data, backend=self.backend, arithmetic=self.arithmetic)
        assert isinstance(found.loss, list)
        return [_as_float(loss) for loss in found.loss]

    def _are_finite(self, parameters: LibraryArrays) -> list[bool]:
        """Return whether all parameters of each network are finite."""
        xp = self.backend.xp
        arrays = [array for layer in parameters for array in layer.values()]
        each = [
            xp.all(xp.isfinite(xp.reshape(array, (array.shape[0], -1))), axis=-1)
            for array in arrays
        ]
        found: list[bool] = self.backend.to_numpy(xp.all(xp.stack(each), axis=0)).tolist()
        return found

    def _chosen(self, state: TrainState, places: list[int]) -> TrainState:
        """Return the state of the networks at these places."""
        xp, indices = self.backend.xp, self.backend.asarray(places, dtype="int64")
        chosen: TrainState = map_nested(
            lambda array: xp.take(array, indices, axis=0), unwrapped(state)
        )
        return chosen


def _as_float(loss: Loss) -> float:
    assert isinstance(loss, float)  # of one network
    return loss


def _pair(validation: Any) -> tuple[Any, Any]:
    is_sequence = isinstance(validation, tuple | list)
    if not is_sequence or len(validation) != 2:
        came = type(validation).__name__ + (f" of {len(validation)}" if is_sequence else "")
        raise TypeError(f"validation is a {came}, expected a tuple (inputs, targets)")
    return validation[0], validation[1]
