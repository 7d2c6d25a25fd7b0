"""Schedules: the learning rate as a function of the step.

A schedule is pure, and computed on the host in operations that every machine rounds alike.
`Plateau` also hears the loss after each epoch; what it remembers is kept in the optimizer's
numbers (`after_epoch`), not in the schedule.  Adding one is adding a class to a file here and a
line to `SCHEDULES`.
"""

from dataclasses import fields
from typing import Any

from pluggable_mlp.hyperparameters import as_count
from pluggable_mlp.names import choose, refuse_unknown
from pluggable_mlp.training.schedules.contract import (
    LearningRate,
    Numbers,
    Schedule,
    as_learning_rate,
    scheduled_rate,
)
from pluggable_mlp.training.schedules.cyclic import Cosine, OneCycle
from pluggable_mlp.training.schedules.decays import Constant, Exponential, InverseScaling, Step
from pluggable_mlp.training.schedules.plateau import Plateau
from pluggable_mlp.training.schedules.warm_up import WarmUp

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
    "as_learning_rate",
    "make_schedule",
    "scheduled_rate",
]

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
        All updates of the training, the warm-up's among them: cosine and one_cycle need it.
    warmup : int, default 0
        Steps of the warm-up; 0 for no warm-up.
    **parameters
        Of the chosen schedule.

    Raises
    ------
    ValueError
        If there is no such schedule, it takes no such parameter, lacks one, or a value is out
        of range.
    """
    warmup = as_count("warmup", warmup, at_least=0)
    schedule = choose(SCHEDULES, name, "schedule")
    takes = [field.name for field in fields(schedule)]
    own = [field for field in takes if field != "total_steps"]
    refuse_unknown(f"schedule {name!r}", parameters, [*own[1:], "warmup"])
    if total_steps is not None:
        total_steps = as_count("total_steps", total_steps, at_least=1)
        if total_steps <= warmup:
            raise ValueError(
                f"warmup is {warmup}, expected fewer than the {total_steps} steps of the training"
            )
    if "total_steps" in takes:
        if total_steps is None:
            raise ValueError(f"schedule {name!r} needs total_steps, the number of all updates")
        parameters["total_steps"] = total_steps - warmup
    if "every" in takes and "every" not in parameters:
        raise ValueError(f"schedule {name!r} needs every, the steps between two changes")
    made = schedule(learning_rate, **parameters)
    return WarmUp(made, warmup) if warmup else made
