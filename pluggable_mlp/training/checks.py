"""The door's checks of hyperparameters: shared by optimizers and schedules; nothing of arrays."""

import math
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

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


def refuse_unknown(what: str, given: Iterable[str], taken: Iterable[str]) -> None:
    """Refuse a parameter that a piece does not take, with a list of those that it takes.

    Raises
    ------
    ValueError
        The message names the piece, the parameter, and the nearest that it takes.
    """
    taken = list(taken)
    for name in given:
        if name not in taken:
            near = get_close_matches(name, taken, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{what} takes no {name}; it takes {', '.join(taken)}{hint}")
