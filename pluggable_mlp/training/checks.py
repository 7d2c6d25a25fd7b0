"""The door's checks of hyperparameters: shared by optimizers and schedules; nothing of arrays."""

import math
from typing import Any

from pluggable_mlp.names import refuse_unknown

__all__ = ["check_count", "check_number", "refuse_unknown"]


def check_number(
    name: str, value: Any, *, at_least: float = -math.inf, below: float = math.inf
) -> None:
    """Refuse what is no finite number in [at_least, below).

    Raises
    ------
    ValueError
        The message names the argument, what came and what was expected.
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not at_least <= value < below:
        bounds = [f"of at least {at_least:g}"] if at_least > -math.inf else []
        bounds += [f"below {below:g}"] if below < math.inf else []
        expected = " ".join(["a finite number", " and ".join(bounds)]).strip()
        raise ValueError(f"{name} is {value!r}, expected {expected}")


def check_count(name: str, value: Any, *, at_least: int) -> None:
    """Refuse what is no integer of at least so many.

    Raises
    ------
    ValueError
        The message names the argument, what came and what was expected.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise ValueError(f"{name} is {value!r}, expected an integer of at least {at_least}")
