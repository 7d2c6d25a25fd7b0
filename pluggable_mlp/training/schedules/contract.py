"""What a schedule is, and what optimizers ask of a learning rate; the schedules are beside.

A step is one update of the parameters; `schedule(step)` is the rate of the update that follows
`step` others, so the first is `schedule(0)`.
"""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

from pluggable_mlp.hyperparameters import as_number

__all__ = ["LearningRate", "Numbers", "Schedule", "as_learning_rate", "scheduled_rate"]

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


def as_learning_rate(learning_rate: Any) -> LearningRate:
    """Return a finite number of at least 0 as Python's float, and a function of the step as it is.

    Raises
    ------
    ValueError
        The message names the argument, what came and what was expected.
    """
    if callable(learning_rate) and not isinstance(learning_rate, type):
        rate: LearningRate = learning_rate
        return rate
    return as_number("learning_rate", learning_rate, at_least=0.0)


def scheduled_rate(learning_rate: LearningRate, numbers: Numbers) -> float:
    """Return the learning rate of the next update, for an optimizer's numbers.

    Raises
    ------
    ValueError
        If a function of the step returns no finite number of at least 0.
    """
    if not callable(learning_rate):
        return learning_rate
    step = int(numbers["step"])
    returned: Any = learning_rate(step)
    try:  # numpy.float64 would make arrays of float32 ones of float64
        rate = float(returned)
    except (TypeError, ValueError):
        rate = math.nan
    if not 0.0 <= rate < math.inf:
        raise ValueError(
            f"learning_rate returned {returned!r} for step {step}, expected a finite number of at "
            "least 0"
        )
    return rate * numbers.get("rate_factor", 1.0)
