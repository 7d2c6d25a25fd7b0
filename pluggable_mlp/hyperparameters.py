"""Hyperparameters at the door: checked once, and kept as Python's own numbers.

Numbers of NumPy and the like are taken, too, but none may meet an array: numpy.float64 times an
array of float32 is an array of float64, or an error.  Nothing of arrays belongs here.
"""

import math
import operator
from numbers import Integral, Real
from typing import Any

__all__ = ["as_count", "as_flag", "as_number", "as_seed", "keep_count", "keep_number"]

_BOUNDS = {
    "at_least": (operator.ge, "of at least"),
    "above": (operator.gt, "above"),
    "below": (operator.lt, "below"),
    "at_most": (operator.le, "at most"),
}


def as_number(name: str, value: Any, **bounds: float) -> float:
    """Return a finite number as Python's float.

    Parameters
    ----------
    name : str
        The argument, for the error.
    value
        What came for it; True and False are not numbers.
    **bounds : float
        Any of at_least, above, below and at_most.

    Raises
    ------
    ValueError
        The message names the argument, what came and what was expected.
    """
    try:
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else None
    except OverflowError:  # an integer beyond all floats
        number = None
    within = number is not None and all(
        _BOUNDS[bound][0](number, limit) for bound, limit in bounds.items()
    )
    if number is None or not within or not math.isfinite(number):
        words = " and ".join(f"{_BOUNDS[bound][1]} {limit:g}" for bound, limit in bounds.items())
        raise ValueError(f"{name} is {value!r}, expected a finite number {words}".rstrip())
    return number


def as_count(name: str, value: Any, *, at_least: int) -> int:
    """Return an integer of at least so many as Python's int; True and False are refused.

    Raises
    ------
    ValueError
        The message names the argument, what came and what was expected.
    """
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or value < at_least:
        raise ValueError(f"{name} is {value!r}, expected an integer of at least {at_least}")
    return int(value)


def as_flag(name: str, value: Any) -> bool:
    """Return True or False, which nothing else stands for: "no" would be true.

    Raises
    ------
    ValueError
        The message names the argument, what came and what was expected.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}, expected True or False")
    return value


def as_seed(value: Any) -> int:
    """Return an integer from 0 to 2**64 - 1 as Python's int; True and False are refused.

    Raises
    ------
    ValueError
        The message names what came and what was expected.
    """
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or not 0 <= value < 2**64:
        raise ValueError(f"seed is {value!r}, expected an integer from 0 to 2**64 - 1")
    return int(value)


def keep_number(owner: Any, name: str, **bounds: float) -> None:
    """Check a field of a frozen dataclass and keep it as Python's float; see `as_number`."""
    object.__setattr__(owner, name, as_number(name, getattr(owner, name), **bounds))


def keep_count(owner: Any, name: str, *, at_least: int) -> None:
    """Check a field of a frozen dataclass and keep it as Python's int; see `as_count`."""
    object.__setattr__(owner, name, as_count(name, getattr(owner, name), at_least=at_least))
