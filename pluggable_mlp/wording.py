"""Text for messages and output: counts, short lists, aligned rows, missing extras."""

from collections.abc import Sequence
from importlib.util import find_spec


def counted(count: int, word: str) -> str:
    """Return "1 epoch" or "2 epochs"."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def listed(values: Sequence[object], most: int = 6) -> str:
    """Return the first of some values, separated by commas."""
    return ", ".join(map(str, values[:most])) + (", …" if len(values) > most else "")


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table with aligned fields."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = ([*map(str.ljust, row, widths)] for row in rows)
    return ["  ".join(row).rstrip() for row in padded]


def require(library: str, extra: str, purpose: str) -> None:
    """Raise ImportError, with the command that helps, if the library of an extra is missing."""
    if find_spec(library) is None:
        install = f"python -m pip install 'pluggable-mlp[{extra}]'"
        raise ImportError(f"{purpose} by {library}, which is not installed; {install}")
