"""Choosing a piece by its name, with an error that helps: nothing else belongs here."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeVar

__all__ = ["choose"]

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
    except KeyError:
        near = get_close_matches(str(name), table, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{what} is {name!r}, expected one of {', '.join(table)}{hint}") from None
