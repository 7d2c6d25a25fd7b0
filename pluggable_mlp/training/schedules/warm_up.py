"""The linear warm-up, which stands before any schedule."""

from collections.abc import Callable
from dataclasses import dataclass

from pluggable_mlp.hyperparameters import keep_count
from pluggable_mlp.training.schedules.contract import Numbers, Schedule

__all__ = ["WarmUp"]


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
        if not callable(self.schedule):
            raise TypeError(f"schedule is {self.schedule!r}, expected one such as Constant(0.1)")
        keep_count(self, "steps", at_least=1)

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
