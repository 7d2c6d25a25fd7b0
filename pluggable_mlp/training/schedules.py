"""Schedules: the learning rate as a function of t, the count of previous updates.

`schedule(t)` is the rate of the update that follows t others, so the first is `schedule(0)`.  A
schedule is pure, and computed on the host in operations that every machine rounds in the same way.
`Plateau` also depends on the losses of previous epochs: `after(losses)` is the schedule after them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, TypeAlias

from msgspec import Meta

from pluggable_mlp import fields
from pluggable_mlp.fields import choose, parameters_of, refuse_unknown
from pluggable_mlp.host.elementary import half_wave, integer_power, log2, real_power


class Schedule(fields.Component):
    """Base of schedules; those that depend on losses override its members."""

    def __call__(self, t: int) -> float:
        """Return the learning rate of the update that follows `t` others."""
        raise NotImplementedError

    @property
    def follows_losses(self) -> bool:
        """Whether the rate depends on the losses of previous epochs."""
        return self.after(()) is not self

    def after(self, losses: Sequence[float]) -> "Schedule":
        """Return the schedule for the epoch that follows epochs with these mean losses.

        If the rate depends on losses, it is a new object, even without losses.
        """
        return self


LearningRate: TypeAlias = float | Schedule | Callable[[int], float]


@dataclass(frozen=True)
class Constant(Schedule):
    """The same rate at every update: a plain number does as well."""

    learning_rate: fields.NonNegative

    def __call__(self, t: int) -> float:
        """Return learning_rate."""
        return self.learning_rate


@dataclass(frozen=True)
class Step(Constant):
    """A rate that is multiplied by a factor at regular intervals: torch.optim's StepLR.

    Parameters
    ----------
    learning_rate : float
    every : int
        The number of updates between two changes.
    factor : float, default 0.1
        At least 0; called gamma in torch.optim.
    """

    every: fields.PositiveCount
    factor: fields.NonNegative = 0.1

    def __call__(self, t: int) -> float:
        """Return learning_rate * factor^floor(t / every)."""
        return self.learning_rate * integer_power(self.factor, t // self.every)


@dataclass(frozen=True)
class Exponential(Constant):
    """A rate that is multiplied by a factor at every update: torch.optim's ExponentialLR.

    Parameters
    ----------
    learning_rate : float
    factor : float, default 0.999
        At least 0; called gamma in torch.optim.
    """

    factor: fields.NonNegative = 0.999

    def __call__(self, t: int) -> float:
        """Return learning_rate * factor^t."""
        return self.learning_rate * integer_power(self.factor, t)


@dataclass(frozen=True)
class InverseScaling(Constant):
    """A rate that falls as a power of t: scikit-learn's "invscaling", which counts examples.

    Parameters
    ----------
    learning_rate : float
    power : float, default 0.5
        At least 0; called power_t in scikit-learn.
    """

    power: fields.NonNegative = 0.5

    def __call__(self, t: int) -> float:
        """Return learning_rate / (t + 1)^power."""
        return self.learning_rate * real_power(t + 1.0, -self.power)


@dataclass(frozen=True)
class Cosine(Constant):
    """Half a cosine wave from the learning rate down to `final`, which then stays constant.

    Loshchilov and Hutter, "SGDR" (2017), without its restarts; torch.optim's CosineAnnealingLR
    rises again after total_steps.

    Parameters
    ----------
    learning_rate : float
    total_steps : int
        The number of updates until `final` is reached.
    final : float, default 0.0
        At least 0.
    """

    total_steps: fields.PositiveCount
    final: fields.NonNegative = 0.0

    def __call__(self, t: int) -> float:
        """Return final + (learning_rate - final) (1 + cos(pi t / total_steps)) / 2."""
        return half_wave(self.learning_rate, self.final, t / self.total_steps)


@dataclass(frozen=True)
class FlatCosine(Constant):
    """The learning rate, then half a cosine wave down to 0, where it stays.

    Holzmüller, Grinsztajn, Steinwart, "Better by default" (2024), for dropout and weight decay.

    Parameters
    ----------
    learning_rate : float
    total_steps : int
        The number of updates until 0 is reached.
    flat : float, default 0.5
        The share of updates before the wave, at least 0 and below 1.
    """

    total_steps: fields.PositiveCount
    flat: fields.BelowOne = 0.5

    def __call__(self, t: int) -> float:
        """Return the learning rate, and from flat total_steps on half a wave to 0."""
        first = self.flat * self.total_steps
        return half_wave(self.learning_rate, 0.0, max(t - first, 0.0) / (self.total_steps - first))


@dataclass(frozen=True)
class LogCosine(Constant):
    """Four waves from 0 to the learning rate and back, each twice as long as the one before.

    Holzmüller, Grinsztajn, Steinwart, "Better by default" (2024), there called coslog4.

    Parameters
    ----------
    learning_rate : float
        The largest rate.
    total_steps : int
        The number of updates of the four waves; from then on the rate is 0.
    """

    total_steps: fields.PositiveCount

    def __call__(self, t: int) -> float:
        """Return learning_rate (1 - cos(2 pi log2(1 + 15 t / total_steps))) / 2."""
        wave = 2.0 * (log2(1.0 + 15.0 * min(t / self.total_steps, 1.0)) % 1.0)
        return half_wave(0.0, self.learning_rate, min(wave, 2.0 - wave))


@dataclass(frozen=True)
class OneCycle(Constant):
    """Up to the learning rate and down to almost nothing, by half cosine waves.

    Smith and Topin, "Super-convergence" (2018), with two phases as in torch.optim's OneCycleLR: the
    rate rises from learning_rate / start_divisor during the share `rising` of the updates, then
    falls to the initial rate / final_divisor at the last.  The momentum is not cycled.

    Parameters
    ----------
    learning_rate : float
        The largest rate.
    total_steps : int
        The number of updates, at least 2; later ones keep the final rate.
    rising : float, default 0.3
        The share of updates with a rising rate, at least 0 and below 1.
    start_divisor : float, default 25.0
    final_divisor : float, default 10000.0
        At least 1.
    """

    total_steps: Annotated[int, Meta(ge=2)]
    rising: fields.BelowOne = 0.3
    start_divisor: Annotated[float, Meta(ge=1)] = 25.0
    final_divisor: Annotated[float, Meta(ge=1)] = 1e4

    def __call__(self, t: int) -> float:
        """Return the rate on the first wave, up, or on the second, down."""
        start = self.learning_rate / self.start_divisor
        top, last = self.rising * self.total_steps - 1.0, self.total_steps - 1.0
        if t < top:
            return half_wave(start, self.learning_rate, t / top)
        top = max(top, 0.0)  # with next to no rising part it would lie before t = 0
        return half_wave(self.learning_rate, start / self.final_divisor, (t - top) / (last - top))


@dataclass(frozen=True)
class Plateau(Constant):
    """A rate that is multiplied by `factor` when the training loss stops decreasing.

    torch.optim's ReduceLROnPlateau with its relative threshold: an epoch is better if its loss is
    below best (1 - threshold); the rate changes after more than `patience` consecutive ones that
    are not.

    Parameters
    ----------
    learning_rate : float
    factor : float, default 0.1
        At least 0 and below 1.
    patience : int, default 10
        The number of consecutive bad epochs that are tolerated.
    threshold : float, default 0.0001
        The relative improvement that counts, at least 0 and below 1.
    """

    factor: fields.BelowOne = 0.1
    patience: fields.Count = 10
    threshold: fields.BelowOne = 1e-4

    def after(self, losses: Sequence[float]) -> "Plateau":
        """Return the schedule with the rate after these losses of all epochs so far."""
        total, best, bad = 1.0, math.inf, 0
        for loss in losses:
            if loss < best * (1.0 - self.threshold):
                best, bad = loss, 0
                continue
            bad += 1
            if bad > self.patience:
                total, bad = total * self.factor, 0
        return replace(self, learning_rate=self.learning_rate * total)


@dataclass(frozen=True)
class WarmUp(Schedule):
    """A linear rise to the first rate of a schedule, followed by the schedule.

    Goyal et al., "Accurate, large minibatch SGD" (2017), who warm up from a fraction of the rate.

    Parameters
    ----------
    schedule : Schedule or callable
        The schedule after the warm-up.
    steps : int
        At least 1.
    """

    schedule: Schedule | Callable[[int], float]
    steps: fields.PositiveCount

    def __post_init__(self) -> None:
        if not callable(self.schedule):
            raise TypeError(f"schedule is {self.schedule!r}, expected one such as Constant(0.1)")
        super().__post_init__()

    def __call__(self, t: int) -> float:
        """Return schedule(0) (t + 1) / steps, then schedule(t - steps)."""
        if t < self.steps:
            return self.schedule(0) * ((t + 1) / self.steps)
        return self.schedule(t - self.steps)

    def after(self, losses: Sequence[float]) -> "WarmUp":
        """Return a warm-up to the schedule after these losses."""
        schedule = self.schedule
        following = schedule.after(losses) if isinstance(schedule, Schedule) else schedule
        return self if following is schedule else replace(self, schedule=following)


SCHEDULES: dict[str, type[Constant]] = {
    "constant": Constant,
    "step": Step,
    "exponential": Exponential,
    "inverse_scaling": InverseScaling,
    "cosine": Cosine,
    "flat_cosine": FlatCosine,
    "log_cosine": LogCosine,
    "one_cycle": OneCycle,
    "plateau": Plateau,
}

_NEEDED = {"total_steps": "the count of all updates", "every": "the updates between two changes"}


def make_schedule(
    name: str,
    learning_rate: float,
    *,
    total_steps: int | None = None,
    warmup: int = 0,
    **parameters: float,
) -> Schedule:
    """Return a schedule by name, optionally after a linear warm-up.

    Parameters
    ----------
    name : str
        One of `SCHEDULES`.
    learning_rate : float
        Its base, or largest, rate.
    total_steps : int, optional
        The number of updates including the warm-up; required by cosine, flat_cosine, log_cosine and
        one_cycle.
    warmup : int, default 0
        The number of updates of the warm-up.
    **parameters
        Parameters of the schedule.

    Returns
    -------
    Schedule
        A function of the count of updates t that returns the rate of the next one.

    Raises
    ------
    ValueError
        If the name is unknown, a parameter is unknown or missing, or a value is out of range.

    See Also
    --------
    SCHEDULES : The names.
    torch.optim.lr_scheduler, optax.schedules

    Examples
    --------
    >>> from pluggable_mlp import make_schedule
    >>> schedule = make_schedule("cosine", 0.1, total_steps=100)
    >>> [round(schedule(t), 4) for t in (0, 50, 100)]
    [0.1, 0.05, 0.0]
    """
    warmup = fields.convert("warmup", warmup, fields.Count)
    schedule_class: Callable[..., Schedule] = choose(SCHEDULES, name, "schedule")
    takes = parameters_of(schedule_class)
    free = [field for field in takes if field not in ("learning_rate", "total_steps")]
    refuse_unknown(f"schedule {name!r}", parameters, [*free, "warmup"])
    if total_steps is not None:
        total_steps = fields.convert("total_steps", total_steps, fields.PositiveCount)
        if total_steps <= warmup:
            raise ValueError(
                f"warmup is {warmup}, expected fewer than the {total_steps} steps in all"
            )
        if "total_steps" in takes:
            parameters["total_steps"] = total_steps - warmup
    for needed, meaning in _NEEDED.items():
        if needed in takes and needed not in parameters:
            raise ValueError(f"schedule {name!r} needs {needed}, {meaning}")
    schedule = schedule_class(learning_rate, **parameters)
    return WarmUp(schedule, warmup) if warmup else schedule
