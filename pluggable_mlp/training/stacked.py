"""Networks of one form, trained together along a leading axis, with rates and dropout of their own.

Differences are arrays along that axis: coefficients of the optimizer (networks,), numbers of
dropout (networks, 1, 1) and words of the seed (networks, 1), on the device.  Formulas are those of
one network, and so is each result.  A network that has ended leaves the stack, so that nothing
changes it, and the others continue.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from pluggable_mlp.arrays import Array, LibraryArrays, dtype_name, map_nested
from pluggable_mlp.backends import Backend
from pluggable_mlp.namespaces import namespace_of, unwrapped
from pluggable_mlp.namespaces.reproducible.namespace import ReproducibleNamespace
from pluggable_mlp.network.layers import Dropout, Seed, as_words
from pluggable_mlp.network.mlp import MLP, at_each_step
from pluggable_mlp.network.parameters import map_arrays, named_like
from pluggable_mlp.training import loop
from pluggable_mlp.training.components import without_rate
from pluggable_mlp.training.early_stopping import EarlyStopping
from pluggable_mlp.training.evaluation import outputs_of
from pluggable_mlp.training.examples import Examples
from pluggable_mlp.training.lost_numbers import LostNumbers
from pluggable_mlp.training.optimizer import Coefficients, Optimizer, columns
from pluggable_mlp.training.step import TrainState, initial_state
from pluggable_mlp.training.steps import Steps
from pluggable_mlp.training.streaming import seeded_order
from pluggable_mlp.training.transforms import Transform


@dataclass(frozen=True)
class StackedOptimizer(Transform):
    """The optimizers of several networks, which differ only in their coefficients.

    Parameters
    ----------
    optimizer : Optimizer
        The one whose update serves all.
    optimizers : tuple of Optimizer
        That of each network.
    as_array : callable
        Turns a list of floats into an array (networks,) on the device.
    """

    optimizer: Optimizer
    optimizers: tuple[Optimizer, ...] = field(compare=False, repr=False)
    as_array: Callable[[Sequence[object]], Array] = field(compare=False, repr=False)

    def coefficients_at(self, t: int) -> Coefficients:
        """Return arrays (networks,)."""
        return columns(
            [optimizer.coefficients_at(t) for optimizer in self.optimizers], self.as_array
        )

    def coefficients_of(self, counts: range) -> Coefficients:
        """Return, for each coefficient, a list of lists with a number per network."""
        rows = [[optimizer.coefficients_at(t) for optimizer in self.optimizers] for t in counts]
        return columns([columns(row) for row in rows])

    def gradient_scale(self, c: Coefficients) -> Array | None:
        """Return the optimizer's, (networks, 1, 1), or None."""
        scale: Array | None = self.optimizer.gradient_scale(c)
        return None if scale is None else scale[..., None, None]


@dataclass
class SweptNetwork:
    """One network of a `Sweep`, as if it had been trained alone.

    Attributes
    ----------
    settings : dict
        As given.
    mlp : MLP
        The network, with its dropout.
    optimizer : Optimizer
    seed : int
    stop : EarlyStopping or None
        Decides from its losses when it ends, with `patience`.
    parameters : list of dict of arrays
        After the epoch `epoch`, on the backend.
    epoch : int
        The last one, or with `patience` the one with the smallest loss; 0 if the first diverged.
    history : list of float
        The mean training loss of each epoch.
    validation_history : list of float
        The loss of the validation part after each epoch; empty without one.
    scores : dict of float
        Scores of the parameters on the validation part: "loss", and "accuracy", or "r2" and
        "mean_absolute_error"; empty without one.
    ended : {"epochs", "patience", "diverged"}
        Why training ended; empty while it continues.

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
    optimizer: Optimizer
    seed: int
    stop: EarlyStopping | None
    parameters: LibraryArrays = field(init=False, default_factory=list)
    epoch: int = field(init=False, default=0)
    history: list[float] = field(init=False, default_factory=list)
    validation_history: list[float] = field(init=False, default_factory=list)
    scores: dict[str, float] = field(init=False, default_factory=dict)
    ended: str = field(init=False, default="")

    @property
    def loss(self) -> float:
        """The loss at `epoch`: of the validation part, else of training; infinite at epoch 0."""
        watched = self.validation_history or self.history
        return watched[self.epoch - 1] if self.epoch else math.inf

    def note(self, loss: float, held: float | None) -> bool:
        """Note the losses of an epoch; return whether the parameters after it are to be kept."""
        self.history.append(loss)
        if held is not None:
            self.validation_history.append(held)
        epoch = len(self.history)
        is_kept = self.stop is None or self.stop.is_best(epoch, loss if held is None else held)
        if is_kept:
            self.epoch = epoch
        if self.stop is not None and self.stop.is_over:
            self.ended = "patience"
        return is_kept


@dataclass(frozen=True)
class StackedTraining:
    """The training of a stack; its attributes are arguments of `sweep` that all networks share."""

    mlp: MLP
    examples: Examples
    held: Examples | None
    backend: Backend
    arithmetic: str
    batch_size: int
    epochs: int
    shuffle: bool

    def train(self, networks: Sequence[SweptNetwork]) -> None:
        """Train all networks to their ends."""
        xp, dtype = namespace_of(self.arithmetic, self.backend), dtype_name(self.examples.dtype)
        for network in networks:
            network.parameters = network.mlp.initialize(
                seed=network.seed, backend=self.backend, dtype=dtype
            )
        stack = self.backend.xp.stack
        together = map_arrays(lambda *arrays: stack(arrays), *(one.parameters for one in networks))
        state = initial_state(xp, self.mlp, together, networks[0].optimizer)
        lost = LostNumbers(xp, self.mlp, self.examples)
        active, epoch = list(networks), 1
        while active and epoch <= self.epochs:
            state, epoch = self._until_one_ends(active, state, epoch, lost)
            places = [place for place, network in enumerate(active) if not network.ended]
            state = self._chosen(state, places)
            active = [active[place] for place in places]
        for network in active:
            network.ended = "epochs"

    def _until_one_ends(
        self, active: list[SweptNetwork], state: TrainState, epoch: int, lost: LostNumbers
    ) -> tuple[TrainState, int]:
        """Train up to the epoch in which a network ends; return the state and the next epoch."""
        steps, seeds = self._steps(active, state), [network.seed for network in active]
        seed = seeds[0] if len({*seeds}) == 1 else seeds
        training = loop.training_progress(
            steps,
            self.examples,
            order=seeded_order(seed if self.shuffle else None),
            epochs=self.epochs,
            start=loop.Position(unwrapped(state), epoch),
            measures=False,
        )
        for progress in training:
            if progress.ended:
                epoch = progress.epoch + 1
                progress.followed = progress.losses.mean()
                self._note(active, steps, progress.followed, lost)
                if any(network.ended for network in active):
                    break
        return steps.state, epoch

    def _steps(self, active: list[SweptNetwork], state: TrainState) -> Steps:
        """Return the steps of a stack of networks."""
        xp, dtype = namespace_of(self.arithmetic, self.backend), dtype_name(self.examples.dtype)
        # The reproducible namespace computes a float in float64 and rounds it beside an array.
        kind = "float64" if isinstance(xp, ReproducibleNamespace) else dtype
        as_array = partial(self.backend.asarray, dtype=kind)
        first = without_rate(active[0].optimizer)
        assert isinstance(first, Optimizer)
        rates: list[Any] = [network.mlp.dropout for network in active]
        numbers: tuple[Array, ...] = ()
        if any(rates):
            dropped, factors = zip(*(Dropout(rate).numbers for rate in rates), strict=True)
            whole = self.backend.asarray([[[number]] for number in dropped], dtype="int64")
            numbers = whole, as_array([[[factor]] for factor in factors])
        return Steps(
            xp,
            replace(self.mlp, dropout=at_each_step if numbers else 0.0),
            StackedOptimizer(first, tuple(network.optimizer for network in active), as_array),
            self.examples.kind,
            state,
            backend=self.backend,
            batch_size=self.batch_size,
            seed=self._seed([network.seed for network in active]),
            numbers=numbers,
        )

    def _seed(self, seeds: Sequence[int]) -> Seed:
        """Return one seed of dropout and noise, or the words (networks, 1) of each network."""
        if len({*seeds}) == 1:
            return seeds[0]
        words = zip(*map(as_words, seeds), strict=True)
        low, high = (
            self.backend.asarray([[word] for word in column], dtype="int64") for column in words
        )
        return low, high

    def _note(
        self, active: list[SweptNetwork], steps: Steps, losses: Any, lost: LostNumbers
    ) -> None:
        """Record the networks after an epoch with these losses."""
        xp = self.backend.xp
        parameters = unwrapped(named_like(steps.names, steps.state.inference_parameters))
        held: Any = [None] * len(active)
        if self.held is not None:
            data = self.mlp, parameters, self.held
            held = outputs_of(*data, backend=self.backend, arithmetic=self.arithmetic).loss
        lost.warn({name: int(n) for name, n in lost.counts(parameters).items()}, stacklevel=5)
        finite = self._are_finite(parameters)
        for place, (network, loss, held_loss) in enumerate(zip(active, losses, held, strict=True)):
            if not (math.isfinite(loss) and finite[place]):
                network.ended = "diverged"
            elif network.note(loss, held_loss):
                network.parameters = map_arrays(
                    lambda array, place=place: xp.asarray(array[place, ...], copy=True), parameters
                )

    def _are_finite(self, parameters: LibraryArrays) -> list[bool]:
        """Return whether all parameters of each network are finite."""
        xp = self.backend.xp
        arrays = [array for layer in parameters for array in layer.values()]
        by_array = [
            xp.all(xp.isfinite(xp.reshape(array, (array.shape[0], -1))), axis=-1)
            for array in arrays
        ]
        return self.backend.to_numpy(xp.all(xp.stack(by_array), axis=0)).tolist()

    def _chosen(self, state: TrainState, places: list[int]) -> TrainState:
        """Return the state of the networks at these places."""
        xp, indices = self.backend.xp, self.backend.asarray(places, dtype="int64")
        return map_nested(lambda array: xp.take(array, indices, axis=0), unwrapped(state))
