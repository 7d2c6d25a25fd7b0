"""What is written in fields: numbers, and numbers and dates as they are written for people.

From the latter no network could learn, and a message says how to write them.  What a column holds
is decided in `tables.py`.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from pluggable_mlp.data.errors import DataError
from pluggable_mlp.data.frame import Texts

FEW = 20
"""Up to so many different texts may be numbers as they are written for people, but no dates.

Up to half as many are categories, however few the rows are.
"""

MOSTLY = 0.9
"""A column of which so many values are numbers is one of numbers, and its texts are faults."""


class _ForPeople(NamedTuple):
    """A way in which people write something: its pattern, its name, and what to do."""

    pattern: str
    what: str
    remedy: str


_NUMBER = _ForPeople(
    r"[-+(]*\s*[$€£¥]?\s*[-+]?(\d{1,3}([.,' ]\d{3})+|\d+)([.,]\d+)?\s*[$€£¥%)]?",
    "a number as it is written for people",
    "write 1234.5 without signs and groups of digits",
)
_DATE = _ForPeople(
    r"(\d{4}([-/.])\d\d?\2\d\d?|\d\d?([-/.])\d\d?\3\d{4})([T ]\d\d?:\d\d.*)?",
    "a date",
    "write what may matter of it as numbers: the year, the month, the days since a first one",
)


def is_number(field: str) -> bool:
    """Return whether a field of a table reads as a number; NaN and infinity do."""
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field  # which is Python's alone


def refuse_for_people(source: str, column: str, values: Texts) -> None:
    """Raise `DataError` where the texts of a column are numbers or dates as people write them.

    Of many different texts nine in ten, of few all, and then dates alone.
    """
    if len(values.distinct) <= FEW:
        refuse_dates(source, column, values)
        return
    for kind in (_NUMBER, _DATE):
        _refuse(source, column, values, kind, MOSTLY)


def refuse_dates(source: str, column: str, values: Texts) -> None:
    """Raise `DataError` where all texts of a column are dates, as for one whose type is date."""
    _refuse(source, column, values, _DATE, 1.0)


def _refuse(source: str, column: str, values: Texts, kind: _ForPeople, share: float) -> None:
    """Raise `DataError` where this share of the different texts are of a kind."""
    text = _one_of(values.distinct, kind.pattern, share)
    if text is not None:
        row = int((values.codes == values.distinct.index(text)).argmax()) + 1
        fault = f"column {column!r} holds {text!r} in row {row}, {kind.what}"
        raise DataError(source, fault, f"{kind.remedy}, or remove the column")


def _one_of(texts: Sequence[str], pattern: str, share: float) -> str | None:
    """Return the first text that is so written and not a number, where this share of them is."""
    first, others = None, 0
    for text in texts:
        if not re.fullmatch(pattern, text):
            others += 1
            if len(texts) - others < share * len(texts):
                return None  # at once: there may be a million
        elif first is None and not is_number(text):
            first = text
    return first
