"""The training loop: epochs over mini-batches, reported after each call of `Steps`.

Nothing waits for the device within an epoch: losses stay there as 0-d arrays and are read at
once when it ends.  The loop does not depend on the library, the rounding or the optimizer.
Callers save, measure on other examples and display.
"""

import itertools
import math
import time
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from typing import Any, NamedTuple

from pluggable_mlp.arrays import LibraryArrays, map_nested
from pluggable_mlp.namespaces import unwrapped
from pluggable_mlp.network.parameters import named_like
from pluggable_mlp.training.components import AnyOptimizer
from pluggable_mlp.training.divergence import check_parameters_finite, finite_mean
from pluggable_mlp.training.examples import AnyExamples, Batch, Examples
from pluggable_mlp.training.lbfgs import LBFGS
from pluggable_mlp.training.losses import NOTHING, Loss, LossRecord, Recorded
from pluggable_mlp.training.lost_numbers import LostNumbers
from pluggable_mlp.training.step import TrainState
from pluggable_mlp.training.steps import Steps
from pluggable_mlp.training.streaming import Order


class Position(NamedTuple):
    """A place between two training steps, from which training continues with the same bits.

    Attributes
    ----------
    state : TrainState
    epoch : int
        The epoch of the next step, counted from 1.
    start : int
        How many examples of this epoch have been visited.
    losses : tuple of float
        The loss of each previous epoch, for schedules that follow losses.
    recorded : tuple of two sequences
        The losses of this epoch's batches, and how much each counts.
    """

    state: TrainState
    epoch: int = 1
    start: int = 0
    losses: tuple[Loss, ...] = ()
    recorded: Recorded = NOTHING


@dataclass(frozen=True)
class Epoch:
    """The state after a number of epochs, and what was measured in the last of them.

    Attributes
    ----------
    epoch : int
        How many epochs are done.
    parameters : list of dict of arrays
        Those of the network, with buffers; averaged if the optimizer averages.
    state : TrainState
        The state that the next epoch begins with.
    train_loss : float, or list of float
        The mean loss of the epoch's examples, each taken before its own step; if parameters have
        leading axes, lists of their shape, a number for each network.
    seconds : float
        Wall-clock time of the epoch.

    See Also
    --------
    train : Its `callbacks` are called with one.

    Examples
    --------
    >>> from pluggable_mlp import MLP, get_backend, train
    >>> seen = []
    >>> result = train(
    ...     MLP([1, 2]), [[0.0], [1.0]], [0, 1], backend=get_backend("numpy"), epochs=2,
    ...     callbacks=[lambda epoch: seen.append((epoch.epoch, epoch.state.t))],
    ... )
    >>> seen
    [(1, 1), (2, 2)]
    """

    epoch: int
    parameters: LibraryArrays
    state: TrainState
    train_loss: Loss
    seconds: float


class Visit(NamedTuple):
    """The examples that each epoch visits, and their order.

    Attributes
    ----------
    examples : Examples or Streamed
    order : Order
    length : int
        The number of examples.
    every : int or None
        Steps whose count t is a multiple of it are the last of their calls.
    """

    examples: AnyExamples
    order: Order
    length: int
    every: int | None

    def blocks(self, steps: Steps, position: Position, epochs: int | None) -> Iterator[Examples]:
        """Return the blocks from a position on."""
        return self.order(self.examples, (position.epoch, position.start), epochs, steps.batch_size)

    def calls(
        self, blocks: Iterator[Examples], steps: Steps, start: int
    ) -> Iterator[tuple[int, Examples, range]]:
        """Yield the calls of an epoch from a place on, each as many batches as are best combined.

        A call is (how many examples come before the block, block, where its batches begin).
        """
        size, every = self.examples.block_size, self.every
        for offset in range(start - start % size, len(self.examples), size):
            block = steps.placed(next(blocks))
            stop = min(size, self.length - offset)
            starts = range(max(start - offset, 0), stop, steps.batch_size)
            while starts:
                most = steps.at_once
                if every is not None:
                    most = min(most, every - steps.t % every)
                yield offset, block, starts[:most]
                starts = starts[most:]


@dataclass(slots=True)
class Progress:
    """Training after a call of `Steps`, or at the end of an epoch; valid until the next step.

    Attributes
    ----------
    steps : Steps
    epoch : int
        The epoch of the last step, counted from 1.
    losses : LossRecord
        The losses of the epoch's batches so far.
    before : list of float
        The loss of each previous epoch, for schedules that follow losses.
    visit : Visit
        The order of the examples in each epoch.
    begun : Position
        Where the steps of this epoch began.
    optimizer : Optimizer or LBFGS
        That of this epoch.
    count : int
        How many examples the call visited; 0 at the end of an epoch.
    done : int
        How many examples of the epoch are done.
    ended : bool
        Whether the epoch has ended: reported after its last call, by itself.
    followed : float, or list of float
        The loss of an ended epoch that schedules follow: `training_progress` sets it to the
        training loss, and the caller may change it.
    result : Epoch or None
        The result of an ended epoch from `training_progress`.
    """

    steps: Steps
    epoch: int
    losses: LossRecord
    before: list[Loss]
    visit: Visit
    begun: Position
    optimizer: AnyOptimizer
    count: int = 0
    done: int = 0
    ended: bool = False
    followed: Loss = math.nan
    result: Epoch | None = None

    def position(self) -> Position:
        """Return the current position: waits for the device."""
        state = unwrapped(self.steps.state)
        if self.ended:
            return Position(state, self.epoch + 1, losses=(*self.before, self.followed))
        return Position(state, self.epoch, self.done, (*self.before,), self.losses.read())

    def mean_loss(self) -> Loss:
        """Return the mean of the epoch's losses so far: waits for the device.

        Raises
        ------
        DivergenceError
            If one is not finite; the message names the first.
        """
        return finite_mean(self)

    @property
    def steps_of_epoch(self) -> int:
        """The number of steps in a whole epoch."""
        return -(-self.visit.length // self.steps.batch_size)

    def state_before(self, step: int) -> tuple[TrainState, Batch] | None:
        """Return the state before a step of the epoch, its steps taken again, and the step's batch.

        Steps are counted from 0; None for one before the place where training continued.
        """
        left = step - len(self.begun.recorded[0])
        if left < 0:
            return None
        again = copy(self.steps)
        again.state = map_nested(again.xp.asarray, self.begun.state)
        record = LossRecord(again.xp, again.backend)
        blocks = self.visit.blocks(again, self.begun, self.begun.epoch)
        for _, block, starts in self.visit.calls(blocks, again, self.begun.start):
            if left:
                again.take(self.optimizer, block, starts[:left], record)
            if left < len(starts):
                return again.state, block.batch(again.xp, starts[left], again.batch_size)
            left -= len(starts)
        return None


def training_progress(
    steps: Steps,
    examples: AnyExamples,
    *,
    order: Order,
    epochs: int | None = None,
    start: Position | None = None,
    every: int | None = None,
    by_weight: bool = True,
    whole_batches: bool = False,
    measures: bool = True,
) -> Iterator[Progress]:
    """Train, and yield after each call of `steps` and after each epoch, which has a `result`.

    The caller may stop, save or measure then, and set the `followed` loss.

    Parameters
    ----------
    steps : Steps
    examples : Examples or Streamed
    order : Order
        The order of the examples in each epoch.
    epochs : int, optional
        The last epoch, counted from 1; by default training does not end.
    start : Position, optional
        Where to continue; by default from the state of `steps`, with the first epoch.
    every : int, optional
        Steps whose count t is a multiple of it are the last of their calls.
    by_weight : bool, default True
        Whether the mean loss of an epoch counts examples by their sample_weight.
    whole_batches : bool, default False
        Whether a smaller last batch of an epoch is left out.
    measures : bool, default True
        Whether epochs have a result.  If not, losses are neither read nor checked, and the caller
        sets those that a schedule follows.

    Raises
    ------
    DivergenceError
        If the loss or the parameters of an epoch are not finite.

    Warns
    -----
    PrecisionWarning
        If products of the arithmetic treat many numbers in the data or the weights as 0.
    """
    lost = LostNumbers(steps.xp, steps.mlp, examples) if measures else None
    begin = time.perf_counter()
    if start is not None:
        steps.state = map_nested(steps.xp.asarray, start.state)
    position = Position(steps.state) if start is None else start
    count = len(examples)
    if whole_batches:
        count -= count % min(steps.batch_size, count)
    visit = Visit(examples, order, count, every)
    blocks = visit.blocks(steps, position, epochs)
    losses = [*position.losses]
    for epoch in (
        itertools.count(position.epoch) if epochs is None else range(position.epoch, epochs + 1)
    ):
        record = LossRecord(steps.xp, steps.backend, position.recorded, by_weight=by_weight)
        optimizer = steps.optimizer
        if not isinstance(optimizer, LBFGS):
            followed: Any = losses  # floats; a cast would be a call for each epoch
            optimizer = optimizer.after(followed)
        progress = Progress(steps, epoch, record, losses, visit, position, optimizer)
        for offset, block, starts in visit.calls(blocks, steps, position.start):
            steps.take(optimizer, block, starts, record)
            end = min(offset + starts[-1] + steps.batch_size, count)
            progress.count, progress.done = end - offset - starts[0], end
            yield progress
        progress.count, progress.ended = 0, True
        if lost is not None:
            progress.result = _result(progress, lost, begin)
            progress.followed = progress.result.train_loss
        yield progress
        begin = time.perf_counter()
        losses.append(progress.followed)
        position = Position(steps.state, epoch + 1)


def epochs_of(training: Iterator[Progress]) -> Iterator[Epoch]:
    """Yield the results of the epochs of `training_progress`."""
    return (progress.result for progress in training if progress.result is not None)


def _result(progress: Progress, lost: LostNumbers, begin: float) -> Epoch:
    """Return the result of an ended epoch, or raise DivergenceError: waits for the device."""
    steps, epoch = progress.steps, progress.epoch
    train_loss = progress.mean_loss()
    state = unwrapped(steps.state)  # its lists and dicts are the callback's
    parameters = named_like(steps.names, state.inference_parameters)
    check_parameters_finite(progress, parameters, lost)
    steps.backend.synchronize()
    seconds = time.perf_counter() - begin
    return Epoch(epoch, parameters, state, train_loss, seconds)
