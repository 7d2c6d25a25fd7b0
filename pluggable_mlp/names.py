"""Choosing a piece by its name, with errors that help: nothing else belongs here."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from difflib import get_close_matches
from typing import Any, TypeVar

__all__ = ["choose", "make", "refuse_unknown"]

T = TypeVar("T")


def choose(table: Mapping[str, T], name: str, what: str) -> T:
    """Return `table[name]`; where there is none, say which names there are and the nearest.

    Raises
    ------
    ValueError
        If the table has no such name.
    """
    try:
        return table[name]
    except (KeyError, TypeError):  # what cannot be hashed is not a name, either
        raise ValueError(
            f"{what} is {name!r}, expected one of {', '.join(table)}{_hint(str(name), table)}"
        ) from None


def make(table: Mapping[str, T], name: str, what: str, **parameters: Any) -> T:
    """Return `table[name]` with these parameters in the place of its own.

    An entry with parameters is a frozen dataclass; any other takes none.

    Parameters
    ----------
    table : mapping
        The pieces by their names: `LOSSES`, `ACTIVATIONS`, `NORMALIZATIONS`.
    name : str
    what : str
        What the table holds, in the words of the error: "loss".
    **parameters
        Those that are not given keep the entry's value.

    Raises
    ------
    ValueError
        If there is no such name, the piece takes no such parameter, or a value is out of range.
    """
    piece: Any = choose(table, name, what)
    takes = [field.name for field in fields(piece) if field.init] if is_dataclass(piece) else []
    refuse_unknown(f"{what} {name!r}", parameters, takes)
    made: T = replace(piece, **parameters) if parameters else piece
    return made


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
            listed = ", ".join(taken) or "no parameters"
            raise ValueError(f"{what} takes no {name}; it takes {listed}{_hint(name, taken)}")


def _hint(name: str, expected: Iterable[str]) -> str:
    near = get_close_matches(name, expected, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
