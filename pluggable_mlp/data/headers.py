"""The first line of a table: whether it names the columns, or is an example."""

from collections.abc import Iterable

from pluggable_mlp.data.dataset import DataError

__all__ = ["MISSING", "has_header", "is_number"]

MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "?", "-", "."))
"""What stands for a number that is missing, in lower case."""

SURELY_COUNTED = 3
"""So many column numbers 0, 1, 2, … are not a coincidence."""


def is_number(field: str) -> bool:
    """Return whether a field of a table reads as a number; NaN and infinity do."""
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field  # which is Python's alone


def has_header(path: str, line: int, fields: list[str], others: Iterable[list[str]]) -> bool:
    """Return whether the first line of a table names its columns.

    It does where no field is a number, and where its numbers count the columns: pandas' `0,1,2,3`,
    or `0,1,2,target`, or `label,1,2,3`.  A line of numbers that occurs again is an example.

    Parameters
    ----------
    path, line
        For errors: the file, and the number of its first line.
    fields : list of str
        Of the first line.
    others : iterable of lists of str
        Of the lines that follow; read only where numbers may be names.

    Raises
    ------
    DataError
        If the line may be either, or names pandas' index among the columns.
    """
    names = [field for field in fields if not is_number(field)]
    numbers = [field for field in fields if is_number(field)]
    if not names:
        return _are_names(path, line, numbers, others)
    unnamed = fields[0] == "" or fields[0].startswith("Unnamed: ")
    if any(name.lower() in MISSING for name in names[unnamed:]) or not (
        _count_from(0, numbers) or _count_from(1, numbers)
    ):
        return False
    if unnamed and len(fields) > 1:
        fault = f"column 1 has no name in line {line}: it is pandas' index, not a feature"
        raise DataError(path, fault, "write the table with to_csv(path, index=False)")
    return True


def _are_names(path: str, line: int, numbers: list[str], others: Iterable[list[str]]) -> bool:
    """Return whether numbers are the columns' names."""
    counted = _count_from(0, numbers)
    doubtful = counted or _count_from(1, numbers) or _made_distinct(numbers)
    if not doubtful or any(numbers == other for other in others):
        return False
    if counted and len(numbers) >= SURELY_COUNTED:
        return True
    shown = ",".join(numbers[:6]) + (",…" if len(numbers) > 6 else "")
    fault = f"line {line}, {shown}, may name the columns or be an example"
    raise DataError(path, fault, "write a line of names, a,b,…, above an example or in its place")


def _count_from(first: int, numbers: list[str]) -> bool:
    return numbers == [str(k) for k in range(first, first + len(numbers))]


def _made_distinct(numbers: list[str]) -> bool:
    """Return whether 0,0.1,0.2 is among them: of names that repeat pandas makes such ones."""
    place = {number: index for index, number in enumerate(numbers)}
    return any(
        index < place.get(f"{number}.1", -1) < place.get(f"{number}.2", -1)
        for number, index in place.items()
    )
