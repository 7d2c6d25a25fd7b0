"""Files of tables: which reader serves one, and which columns are the targets.

Plain numbers are read without any other library; all else is read by polars, see `frames.py`.
"""

import warnings
from collections.abc import Collection, Sequence
from difflib import get_close_matches

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.dataset import DataError, DataWarning, Source, Split
from pluggable_mlp.data.frames import (
    Frame,
    PolarsMissingError,
    RawTable,
    read_columns,
    read_text_frame,
)
from pluggable_mlp.data.preparation import Preparation
from pluggable_mlp.data.tables import (
    NotNumbersError,
    NumberTable,
    first_fault,
    read_text,
    try_number_table,
)

__all__ = ["TABLES", "is_table", "read_table", "read_table_inputs"]

TABLES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".feather")


def is_table(path: str) -> bool:
    """Return whether a path is that of a table, by its end."""
    return path.lower().endswith(TABLES)


def read_table(
    path: str,
    target: str | None = None,
    known: Preparation | None = None,
    text_target: bool | None = None,
) -> Source:
    """Read a table of examples, one for each row.

    Parameters
    ----------
    path : str
        Ends with one of `TABLES`.
    target : str, optional
        The column to predict, by its name or its place, counted from 1; several are separated by
        commas.  By default the last.
    known : Preparation, optional
        What training made of its table: the features are found by the names that they have there.
    text_target : bool, optional
        Whether the target is texts; by default what its fields say.

    Raises
    ------
    DataError
        If it cannot be read, has no such column, or lacks a target.
    """
    known = known or Preparation()
    table = _opened(path, known)
    if table.width < 2:
        remedy = "separate by commas: the features, then a class or a number to predict"
        raise DataError(path, "has one column", remedy)
    chosen = _places(path, table.names, table.width, target)
    if len(chosen) == table.width:
        raise DataError(path, "all columns are targets", "leave some for the features")
    as_text = text_target if len(chosen) == 1 else False
    targets = [(table.name(place), table.target(place, as_text)) for place in chosen]
    places = _features(path, table, known, chosen)
    return Source(
        path,
        {"train": Split(_inputs(table, known, places), _targets(path, targets))},
        target_names=tuple(name for name, _ in targets),
        feature_names=None if table.names is None else tuple(map(table.name, places)),
        is_table=True,
    )


def read_table_inputs(
    path: str, known: Preparation, targets: Collection[str] = ()
) -> Array | Frame:
    """Read the features of a table for a network: by their names where both have names.

    Parameters
    ----------
    path : str
        Ends with one of `TABLES`.
    known : Preparation
        What training made of its table.
    targets : collection of str
        Columns of that table that may be there, too.

    Raises
    ------
    DataError
        If it cannot be read, or lacks a feature.
    """
    table = _opened(path, known)
    beside = [k for k, name in enumerate(table.names or ()) if name in targets]
    inputs = _inputs(table, known, _features(path, table, known, beside))
    if known.columns is None and isinstance(inputs, Frame):
        raise DataError(path, inputs.first_gap(), "give numbers, as training had")
    return inputs


def _opened(path: str, known: Preparation) -> NumberTable | RawTable:
    """Return a table: of numbers where it holds nothing else, and training knew no other."""
    if path.lower().endswith((".parquet", ".feather")):
        return read_columns(path)
    text = read_text(path)
    if known.columns is not None:
        return read_text_frame(path, text)
    found = try_number_table(path, text)
    if not isinstance(found, str):
        return found
    try:
        table = read_text_frame(path, text)
        if not (table.has_other_delimiters(text.delimiter) or text.data.count(b'"') % 2):
            return table
    except PolarsMissingError as missing:
        fault = first_fault(path, text, found)
        if isinstance(fault, NotNumbersError):
            fault = fault.or_else(f"install what reads texts and gaps: {missing.args[2]}")
        raise fault from None
    except DataError as error:
        fault = first_fault(path, text, found)  # by its line
        raise (error if isinstance(fault, NotNumbersError) else fault) from None
    fault = first_fault(path, text, found)
    if not isinstance(fault, NotNumbersError):
        raise fault
    return table


def _features(
    path: str, table: NumberTable | RawTable, known: Preparation, targets: Sequence[int] = ()
) -> list[int]:
    """Return the places of the features: those that training knew, by their names if both have any.

    A warning tells of columns that are not used.

    Raises
    ------
    DataError
        If one is missing.
    """
    rest = [place for place in range(table.width) if place not in targets]
    names, every = table.names, known.every_name
    if every is None:
        return rest
    if names is None or known.feature_names is None:
        if known.feature_names is None and len(rest) != len(every):
            rest = [int(name) - 1 for name in every]  # in training; maybe the target is among them
        if len(rest) != len(every) or max(rest) >= table.width:
            fault = f"has {len(rest)} features without names, training had {len(every)}"
            raise DataError(path, fault, f"give {', '.join(every[:20])}, in this order")
        return [rest[every.index(name)] for name in known.used_names]
    missing = [name for name in known.used_names if name not in names]
    if missing:
        shown = ", ".join(map(repr, missing[:6])) + (", …" if len(missing) > 6 else "")
        fault = f"has no column {shown}; it has {', '.join(names[:20])}"
        raise DataError(path, fault, f"give the columns {', '.join(known.used_names[:20])}")
    unused = [names[place] for place in rest if names[place] not in every]
    if unused:
        shown = ", ".join(map(repr, unused[:6])) + (", …" if len(unused) > 6 else "")
        warnings.warn(f"{path}: columns that are not used: {shown}", DataWarning, stacklevel=4)
    return [names.index(name) for name in known.used_names]


def _inputs(
    table: NumberTable | RawTable, known: Preparation, places: Sequence[int]
) -> Array | Frame:
    """Return features of a table; as an array where they are numbers, and training knew so."""
    if isinstance(table, NumberTable):
        return table.values[:, places]
    if known.columns is not None:
        return table.frame(places, known.used_names, known.columns.texts)
    frame = table.frame(places, [table.name(place) for place in places])
    plain = frame.as_numbers()
    return frame if plain is None else plain


def _places(path: str, names: tuple[str, ...] | None, width: int, target: str | None) -> list[int]:
    """Return the places of the target's columns, from 0."""
    if target is None:
        return [width - 1]
    if names and target in names:  # which may hold a comma
        return [names.index(target)]
    return [_place(path, names, width, one.strip()) for one in target.split(",")]


def _place(path: str, names: tuple[str, ...] | None, width: int, one: str) -> int:
    if names and one in names:
        return names.index(one)
    if one.lstrip("-").isdecimal() and 1 <= abs(int(one)) <= width:
        return int(one) - 1 if int(one) > 0 else width + int(one)
    if not names:
        fault = f"has {width} columns without names, and no target {one!r}"
        raise DataError(path, fault, f"give its place from 1 to {width}")
    raise DataError(
        path, f"has no column {one!r}; it has {', '.join(names[:20])}", _remedy(one, names)
    )


def _remedy(name: str, names: tuple[str, ...]) -> str:
    near = get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else "name one of these, or its place from 1"


def _targets(path: str, columns: list[tuple[str, Array]]) -> Array:
    """Return texts (n,), numbers (n,), or rows of them (n, outputs); none may be missing."""
    for name, values in columns:
        lacking = np.isnan(values) if values.dtype.kind == "f" else values == None  # noqa: E711
        if lacking.any():
            row = int(np.flatnonzero(lacking)[0]) + 1
            fault = f"{lacking.sum()} rows lack the target {name!r}, row {row} first"
            raise DataError(path, fault, "leave such rows out")
    if len(columns) == 1:
        ((name, values),) = columns
        return values if values.dtype.kind == "f" else values.astype(np.str_)
    texts = [name for name, values in columns if values.dtype.kind != "f"]
    if texts:
        fault = f"the target {texts[0]!r} holds texts"
        raise DataError(path, fault, "give one such column alone, or numbers")
    return np.stack([values for _, values in columns], axis=1)
