"""Schedules: the learning rate as a function of the step.

A step is one update of the parameters; `schedule(step)` is the rate of the update that follows
`step` others, so the first is `schedule(0)`.  A schedule is pure, and computed on the host in
operations that every machine rounds alike.  `Plateau` also hears the loss after each epoch; what
it remembers is kept in the optimizer's numbers (`after_epoch`), not in the schedule.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

from pluggable_mlp.names import choose
from pluggable_mlp.training.checks import check_count, check_number, refuse_unknown
from pluggable_mlp.training.elementary import cos_pi, integer_power, real_power

__all__ = [
    "SCHEDULES",
    "Constant",
    "Cosine",
    "Exponential",
    "InverseScaling",
    "LearningRate",
    "Numbers",
    "OneCycle",
    "Plateau",
    "Schedule",
    "Step",
    "WarmUp",
    "check_learning_rate",
    "make_schedule",
    "scheduled_rate",
]

Numbers: TypeAlias = dict[str, float]


class Schedule:
    """What optimizers ask of a schedule beyond being called; these answers need no memory."""

    def __call__(self, step: int) -> float:
        """Return the learning rate of the update that follows `step` others."""
        raise NotImplementedError

    def initial_numbers(self) -> Numbers:
        """Return what the schedule remembers, before the first epoch."""
        return {}

    def after_epoch(self, numbers: Numbers, loss: float) -> Numbers:
        """Return the numbers after an epoch of that mean training loss."""
        del loss
        return numbers


LearningRate: TypeAlias = float | Schedule | Callable[[int], float]


def check_learning_rate(learning_rate: Any) -> None:
    """Refuse what is neither a finite number of at least 0 nor callable.

    Raises
    ------
    ValueError
        The message names the argument, what came and what was expected.
    """
    if not callable(learning_rate):
        check_number("learning_rate", learning_rate, at_least=0.0)


def scheduled_rate(learning_rate: LearningRate, numbers: Numbers) -> float:
    """Return the learning rate of the next update, for an optimizer's numbers."""
    rate = learning_rate(int(numbers["step"])) if callable(learning_rate) else learning_rate
    return rate * numbers.get("rate_factor", 1.0)


@dataclass(frozen=True)
class Constant(Schedule):
    """The same rate at every step: a plain number does as well.

    Parameters
    ----------
    learning_rate : float
    """

    learning_rate: float

    def __post_init__(self) -> None:
        check_number("learning_rate", self.learning_rate, at_least=0.0)

    def __call__(self, step: int) -> float:
        """Return the learning rate of the update that follows `step` others."""
        del step
        return self.learning_rate


@dataclass(frozen=True)
class Step(Constant):
    """learning_rate * factor^floor(step / every): torch.optim's StepLR.

    Parameters
    ----------
    learning_rate : float
    every : int
        After so many steps the rate is multiplied by
    factor : float
        (gamma elsewhere), at least 0.
    """

    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("every", self.every, at_least=1)
        check_number("factor", self.factor, at_least=0.0)

    def __call__(self, step: int) -> float:
        """Return the learning rate of the update that follows `step` others."""
        return self.learning_rate * integer_power(self.factor, step // self.every)


@dataclass(frozen=True)
class Exponential(Constant):
    """learning_rate * factor^step: torch.optim's ExponentialLR.

    The power is taken by squaring: a running product of n factors costs n, a power of the C
    library is not the same everywhere.

    Parameters
    ----------
    learning_rate : float
    factor : float
        (gamma elsewhere), at least 0.
    """

    factor: float = 0.999

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("factor", self.factor, at_least=0.0)

    def __call__(self, step: int) -> float:
        """Return the learning rate of the update that follows `step` others."""
        return self.learning_rate * integer_power(self.factor, step)


@dataclass(frozen=True)
class InverseScaling(Constant):
    """learning_rate / (step + 1)^power: scikit-learn's "invscaling".

    scikit-learn counts examples in place of steps.

    Parameters
    ----------
    learning_rate : float
    power : float
        (power_t in scikit-learn), at least 0.
    """

    power: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("power", self.power, at_least=0.0)

    def __call__(self, step: int) -> float:
        """Return the learning rate of the update that follows `step` others."""
        return self.learning_rate * real_power(step + 1.0, -self.power)


def _between(first: float, last: float, part: float) -> float:
    """Return the half cosine wave from first (part 0) to last (part 1)."""
    weight = 0.5 * (1.0 + cos_pi(min(part, 1.0)))
    return weight * first + (1.0 - weight) * last


@dataclass(frozen=True)
class Cosine(Constant):
    """Half a cosine wave from the learning rate down to `final`, which is kept from then on.

    final + (learning_rate - final) (1 + cos(pi step / total_steps)) / 2: Loshchilov and Hutter,
    "SGDR" (2017), without its restarts; torch.optim's CosineAnnealingLR goes up again after
    total_steps.

    Parameters
    ----------
    learning_rate : float
    total_steps : int
        Steps until `final` is reached.
    final : float
        At least 0.
    """

    total_steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("total_steps", self.total_steps, at_least=1)
        check_number("final", self.final, at_least=0.0)

    def __call__(self, step: int) -> float:
        """Return the learning rate of the update that follows `step` others."""
        return _between(self.learning_rate, self.final, step / self.total_steps)


@dataclass(frozen=True)
class OneCycle(Constant):
    """Up to the learning rate and down to almost nothing, by half cosine waves.

    Smith and Topin, "Super-convergence" (2018), in fastai's form of two phases, as torch.optim's
    OneCycleLR has it: from learning_rate / start_divisor up in the first `rising` part of the
    steps, then down to the start's rate / final_divisor at the last step.  The momentum is not
    cycled, where torch.optim does so by default.

    Parameters
    ----------
    learning_rate : float
        The largest rate.
    total_steps : int
        All steps of the training, at least 2; later ones keep the final rate.
    rising : float
        Which part of the steps goes up, at least 0 and below 1.
    start_divisor, final_divisor : float
        At least 1.
    """

    total_steps: int
    rising: float = 0.3
    start_divisor: float = 25.0
    final_divisor: float = 1e4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("total_steps", self.total_steps, at_least=2)
        check_number("rising", self.rising, at_least=0.0, below=1.0)
        check_number("start_divisor", self.start_divisor, at_least=1.0)
        check_number("final_divisor", self.final_divisor, at_least=1.0)

    def __call__(self, step: int) -> float:
        """Return the learning rate of the update that follows `step` others."""
        start = self.learning_rate / self.start_divisor
        top, last = self.rising * self.total_steps - 1.0, self.total_steps - 1.0
        if step < top:
            return _between(start, self.learning_rate, step / top)
        # With next to no rising part the top would lie before step 0.
        top = max(top, 0.0)
        return _between(self.learning_rate, start / self.final_divisor, (step - top) / (last - top))


@dataclass(frozen=True)
class Plateau(Constant):
    """The rate is multiplied by `factor` when the training loss no longer falls.

    torch.optim's ReduceLROnPlateau with its relative threshold: an epoch is better if its loss
    is below best (1 - threshold); after more than `patience` epochs in a row that are not, the
    rate falls.  The loop tells each epoch's loss (`after_epoch`).

    Parameters
    ----------
    learning_rate : float
    factor : float
        At least 0 and below 1.
    patience : int
        How many bad epochs in a row are borne.
    threshold : float
        The relative improvement that counts, at least 0 and below 1.
    """

    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("factor", self.factor, at_least=0.0, below=1.0)
        check_count("patience", self.patience, at_least=0)
        check_number("threshold", self.threshold, at_least=0.0, below=1.0)

    def initial_numbers(self) -> Numbers:
        """Return the factor of the rate, the best loss so far and the bad epochs in a row."""
        # The largest float in place of infinity, which JSON does not know.
        return {"rate_factor": 1.0, "best_loss": sys.float_info.max, "bad_epochs": 0}

    def after_epoch(self, numbers: Numbers, loss: float) -> Numbers:
        """Return the numbers after an epoch of that mean training loss."""
        if loss < numbers["best_loss"] * (1.0 - self.threshold):
            return {**numbers, "best_loss": loss, "bad_epochs": 0}
        bad = numbers["bad_epochs"] + 1
        if bad <= self.patience:
            return {**numbers, "bad_epochs": bad}
        return {**numbers, "bad_epochs": 0, "rate_factor": numbers["rate_factor"] * self.factor}


@dataclass(frozen=True)
class WarmUp(Schedule):
    """A straight line up to a schedule's first rate, then that schedule from its beginning.

    schedule(0) (step + 1) / steps for the first `steps` steps: Goyal et al., "Accurate, large
    minibatch SGD" (2017), who warm up from a fraction of the rate, too.  Variants that start
    with a rate of 0 (optax) waste the first step.

    Parameters
    ----------
    schedule : Schedule or callable
        What follows.
    steps : int
        At least 1.
    """

    schedule: Schedule | Callable[[int], float]
    steps: int

    def __post_init__(self) -> None:
        check_count("steps", self.steps, at_least=1)

    def __call__(self, step: int) -> float:
        """Return the learning rate of the update that follows `step` others."""
        if step < self.steps:
            return self.schedule(0) * ((step + 1) / self.steps)
        return self.schedule(step - self.steps)

    def initial_numbers(self) -> Numbers:
        """Return what the schedule remembers, before the first epoch."""
        return self.schedule.initial_numbers() if isinstance(self.schedule, Schedule) else {}

    def after_epoch(self, numbers: Numbers, loss: float) -> Numbers:
        """Return the numbers after an epoch of that mean training loss."""
        if isinstance(self.schedule, Schedule):
            return self.schedule.after_epoch(numbers, loss)
        return numbers


SCHEDULES: dict[str, type[Constant]] = {
    "constant": Constant,
    "step": Step,
    "exponential": Exponential,
    "inverse_scaling": InverseScaling,
    "cosine": Cosine,
    "one_cycle": OneCycle,
    "plateau": Plateau,
}


def make_schedule(
    name: str,
    learning_rate: float,
    *,
    total_steps: int | None = None,
    warmup: int = 0,
    **parameters: Any,
) -> Schedule:
    """Return the schedule of that name, after a linear warm-up if asked.

    Parameters
    ----------
    name : str
        One of `SCHEDULES`.
    learning_rate : float
        Its base, or largest, rate.
    total_steps : int, optional
        All updates of the training, the warm-up's among them: cosine and one_cycle need it,
        the others do not look at it.
    warmup : int
        Steps of the warm-up; 0 is none.
    **parameters
        Of the chosen schedule.

    Raises
    ------
    ValueError
        If there is no such schedule, it takes no such parameter, lacks one, or a value is out
        of range.
    """
    check_count("warmup", warmup, at_least=0)
    schedule = choose(SCHEDULES, name, "schedule")
    takes = [field.name for field in fields(schedule)]
    own = [field for field in takes if field != "total_steps"]
    refuse_unknown(f"schedule {name!r}", parameters, [*own[1:], "warmup"])
    if "total_steps" in takes:
        if total_steps is None:
            raise ValueError(f"schedule {name!r} needs total_steps, the number of all updates")
        if total_steps <= warmup:
            raise ValueError(
                f"warmup is {warmup}, expected fewer than the {total_steps} steps of the training"
            )
        parameters["total_steps"] = total_steps - warmup
    if "every" in takes and "every" not in parameters:
        raise ValueError(f"schedule {name!r} needs every, the steps between two changes")
    made = schedule(learning_rate, **parameters)
    return WarmUp(made, warmup) if warmup else made
