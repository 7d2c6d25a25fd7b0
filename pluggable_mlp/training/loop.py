"""The training loop: epochs over shuffled mini-batches, and what is measured in them.

Nothing waits for the device within an epoch: losses stay there as 0-d arrays and are read at
once when it ends.  Which array library, which rounding, which optimizer: the loop does not know.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

from pluggable_mlp import shortcuts
from pluggable_mlp.arrays import Array, LibraryArrays, Namespace
from pluggable_mlp.namespaces import namespace_of, unwrapped
from pluggable_mlp.network.mlp import MLP, Parameters
from pluggable_mlp.training.components import AnyOptimizer
from pluggable_mlp.training.divergence import DivergenceError, Origin, lost_loss
from pluggable_mlp.training.examples import AnyExamples, Batch, Examples
from pluggable_mlp.training.lbfgs import LBFGS
from pluggable_mlp.training.losses import NOTHING, Loss, LossRecord, Recorded, is_finite
from pluggable_mlp.training.precision_warning import LostNumbers
from pluggable_mlp.training.step import TrainState, initial_state
from pluggable_mlp.training.steps import Steps
from pluggable_mlp.training.streaming import epoch_blocks
from pluggable_mlp.training.trees import map_nested, named_like

__all__ = ["Epoch", "Position", "Recording", "training_epochs"]


class Position(NamedTuple):
    """Where training is between two steps: it goes on from there with the same bits.

    Attributes
    ----------
    state : TrainState
    epoch : int
        That of the next step, counted from 1.
    start : int
        How many examples of this epoch are done.
    losses : tuple of float
        The loss of each epoch before, as a schedule follows it.
    recorded : tuple of two sequences
        The losses of this epoch's batches, and how much each counts.
    """

    state: TrainState
    epoch: int = 1
    start: int = 0
    losses: tuple[Loss, ...] = ()
    recorded: Recorded = NOTHING


class Recording(NamedTuple):
    """Which states are recorded within epochs, and by whom.

    Attributes
    ----------
    every : int
        Those after steps whose count t is a multiple of it.
    note : callable
        Is given the `TrainState`, of the backend's arrays.
    """

    every: int
    note: Callable[[TrainState], None]


@dataclass(frozen=True)
class Epoch:
    """The state after a number of epochs, and what was measured in the last of them.

    Attributes
    ----------
    epoch : int
        How many epochs are done.
    parameters : list of dict of arrays
        Of the network, with buffers; averaged if the optimizer averages.
    state : TrainState
        What the next epoch begins with.
    train_loss : float, or list of float
        The mean loss of the epoch's examples, each taken before its own step; where parameters
        have leading axes, lists of their shape, a number for each network.
    seconds : float
        Wall-clock time of the epoch.
    position : Position
        Where the next epoch begins.
    """

    epoch: int
    parameters: LibraryArrays
    state: TrainState
    train_loss: Loss
    seconds: float
    position: Position


def training_epochs(
    mlp: MLP,
    parameters: Parameters,
    examples: AnyExamples,
    *,
    backend: Any,
    optimizer: AnyOptimizer,
    arithmetic: str,
    epochs: int,
    batch_size: int,
    seed: int,
    shuffle: bool = True,
    on_batch: Callable[[int], None] | None = None,
    start: Position | None = None,
    on_position: Callable[[Callable[[], Position]], None] | None = None,
    recording: Recording | None = None,
    monitor: Callable[[Parameters], float] | None = None,
    micro_batch: int | None = None,
) -> Iterator[Epoch]:
    """Train, and yield after every epoch, so that the caller may stop, save or measure.

    After each call of `Steps`, `on_batch` receives the number of examples visited, and
    `on_position` a function that returns the current `Position`, from which `start` goes on;
    calling it synchronizes, and must precede the next step.  `recording` names the states to record
    within epochs.  `monitor` returns the loss that a schedule follows, for the parameters after an
    epoch; by default it is the training loss.  The other arguments are those of
    `pluggable_mlp.train`, already checked.

    Raises
    ------
    DivergenceError
        In the place of an epoch whose loss or whose parameters are not finite.

    Warns
    -----
    PrecisionWarning
        Where products of the arithmetic take many numbers of the data or of the weights for 0.
    """
    xp = namespace_of(arithmetic, backend)
    check_optimizer(mlp, parameters, optimizer, len(examples), batch_size)
    begun = Position(initial_state(xp, mlp, parameters, optimizer)) if start is None else start
    settings: dict[str, Any] = {"backend": backend, "batch_size": batch_size, "seed": seed}
    settings["micro_batch"] = micro_batch
    make_steps = partial(_steps, xp, mlp, optimizer, examples.kind, settings)
    steps = make_steps(begun.state)
    lost = LostNumbers(xp, examples)
    shuffle = shuffle and batch_size < len(examples)  # a single batch needs no order
    visit = partial(epoch_blocks, examples, backend=backend, seed=seed, shuffle=shuffle)
    blocks = visit(first=(begun.epoch, begun.start), epochs=epochs)
    losses: list[Loss] = [*begun.losses]
    for epoch in range(begun.epoch, epochs + 1):
        begin = time.perf_counter()
        record = LossRecord(xp, backend, begun.recorded)
        current = optimizer if isinstance(optimizer, LBFGS) else optimizer.after(losses)
        again = partial(_before, xp, visit, make_steps, current, LossRecord(xp, backend))
        count = -(-len(examples) // batch_size)
        origin = Origin(xp, mlp, seed, count, partial(again, begun, examples, batch_size))
        for offset, block, places in _places(blocks, begun.start, examples, batch_size):
            for starts in _calls(places, steps, recording):
                steps.take(current, block, starts, record)
                end = min(starts[-1] + batch_size, len(block))
                if on_batch:
                    on_batch(end - starts[0])
                if steps.diverged:
                    _mean_loss(epoch, record, origin)
                if recording and steps.t % recording.every == 0:
                    recording.note(unwrapped(steps.state))
                    _mean_loss(epoch, record, origin)
                if on_position:
                    on_position(partial(_position, steps, epoch, offset + end, losses, record))
        train_loss = _mean_loss(epoch, record, origin)
        state = steps.state
        trained = unwrapped(named_like(parameters, state.inference_parameters))
        _check_finite(epoch, trained, lost, backend, origin)
        backend.synchronize()
        seconds = time.perf_counter() - begin
        losses.append(train_loss if monitor is None else monitor(trained))
        native = unwrapped(state)
        begun = Position(native, epoch + 1, losses=tuple(losses))
        yield Epoch(epoch, trained, native, train_loss, seconds, begun)


def check_optimizer(
    mlp: MLP, parameters: Parameters, optimizer: AnyOptimizer, count: int, batch_size: int
) -> None:
    """Refuse what an optimizer cannot do with these networks, data and batches.

    Raises
    ------
    ValueError
        If one learning rate or one line search would have to follow the losses of several
        networks; or if the optimizer is L-BFGS and the batches are smaller than the data, or the
        network has dropout, noise or batch normalization.
    """
    networks = parameters[0]["W"].shape[:-2]
    if networks and (isinstance(optimizer, LBFGS) or optimizer.follows_losses):
        raise ValueError(
            f"parameters have leading axes {networks}, networks with a loss each: lbfgs and the "
            "schedule plateau follow one loss; train each network alone"
        )
    if not isinstance(optimizer, LBFGS):
        return
    if batch_size < count:
        raise ValueError(
            f"batch_size is {batch_size}, expected at least the {count} examples: "
            "lbfgs takes them all at once"
        )
    changing = [name for name in ("dropout", "input_dropout", "input_noise") if getattr(mlp, name)]
    if any(mlp.buffers):
        changing.append("norm")
    if changing:
        name = changing[0]
        raise ValueError(
            f"{name} is {getattr(mlp, name)!r}, and lbfgs needs the same loss at every evaluation: "
            f"leave {name} out, or choose another optimizer"
        )


def _steps(
    xp: Namespace,
    mlp: MLP,
    optimizer: AnyOptimizer,
    kind: Examples,
    settings: dict[str, Any],
    state: TrainState,
) -> Steps:
    """Return the steps of a training from a state, which they leave as it is."""
    own: TrainState = map_nested(xp.asarray, state)
    return Steps(xp, mlp, optimizer, kind, own, **settings)


def _position(
    steps: Steps, epoch: int, start: int, losses: list[Loss], record: LossRecord
) -> Position:
    """Return where training is, before the next step: waits for the device."""
    return Position(unwrapped(steps.state), epoch, start, tuple(losses), record.read())


def _calls(places: range, steps: Steps, recording: Recording | None) -> Iterator[range]:
    """Yield where the batches of an epoch begin, as many at a time as are best taken together.

    A step that is to be recorded is the last of its call.
    """
    while places:
        size = steps.at_once
        if recording:
            size = min(size, recording.every - steps.t % recording.every)
        yield places[:size]
        places = places[size:]


def _places(
    blocks: Iterator[Examples], start: int, examples: AnyExamples, batch_size: int
) -> Iterator[tuple[int, Examples, range]]:
    """Yield the blocks of an epoch from a place on: (offset, block, where its batches begin)."""
    size = examples.block_size
    for offset in range(start - start % size, len(examples), size):
        block = next(blocks)
        yield offset, block, range(max(start - offset, 0), len(block), batch_size)


def _before(
    xp: Namespace,
    visit: Callable[..., Iterator[Examples]],
    make_steps: Callable[[TrainState], Steps],
    optimizer: AnyOptimizer,
    record: LossRecord,
    begun: Position,
    examples: AnyExamples,
    batch_size: int,
    step: int,
) -> tuple[TrainState, Batch] | None:
    """Return the state before a step of an epoch, its steps taken again, and the step's batch.

    Steps are counted from 0; None for one before the place where training went on in the epoch.
    """
    left = step - len(begun.recorded[0])
    if left < 0:
        return None
    steps = make_steps(begun.state)
    blocks = visit(first=(begun.epoch, begun.start), epochs=begun.epoch)
    for _, block, places in _places(blocks, begun.start, examples, batch_size):
        for starts in _calls(places[:left], steps, None):
            steps.take(optimizer, block, starts, record)
        if left < len(places):
            return steps.state, block.batch(xp, places[left], batch_size)
        left -= len(places)
    return None


def _mean_loss(epoch: int, record: LossRecord, origin: Origin) -> Loss:
    """Return the mean of the losses so far: waits for the device.

    Raises
    ------
    DivergenceError
        If one is not finite: naming the first.
    """
    mean = record.mean()
    if not is_finite(mean):
        losses, _ = record.read()
        step = lost_loss(losses)
        since = (
            ""
            if step is None
            else f" from step {step + 1} of {origin.steps} on{origin.of_loss(step)}"
        )
        raise DivergenceError(epoch, f"its loss is {mean}{since}")
    return mean


def _check_finite(
    epoch: int, parameters: Parameters, lost: LostNumbers, backend: Any, origin: Origin
) -> None:
    """Refuse divergence, and warn of lost numbers: waits for the device once.

    Raises
    ------
    DivergenceError
        Where a parameter after an epoch is NaN or infinite: naming which.
    """
    xp = backend.xp
    places = [(index, name) for index, layer in enumerate(parameters) for name in layer]
    counts = lost.counts(parameters)
    found = _finite(xp)([layer[name] for layer in parameters for name in layer])
    if counts:
        found = xp.concat([found, xp.stack([xp.astype(n, xp.int64) for n in counts.values()])])
    numbers = iter(backend.to_numpy(found).tolist())
    for index, name in places:
        if not next(numbers):
            lost_one = f"parameters[{index}][{name!r}] holds NaN or infinity after it"
            raise DivergenceError(epoch, f"{lost_one}{origin.of_last_step(index, name)}")
    lost.tell(dict(zip(counts, numbers, strict=True)))


@cache
def _finite(xp: Namespace) -> Callable[[list[Array]], Array]:
    """Return the function that tells which arrays are finite: 1 for each that is, as int64."""
    function = partial(_are_finite, xp)
    return shortcuts.compiled(xp, function) or function


def _are_finite(xp: Namespace, arrays: list[Array]) -> Array:
    return xp.stack([xp.astype(xp.all(xp.isfinite(array)), xp.int64) for array in arrays])
