"""Files of tables: which reader serves one, and which columns are the targets.

Plain numbers are read without any other library; all else is read by polars, see `frames.py`.
"""

from difflib import get_close_matches

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.columns import Columns
from pluggable_mlp.data.dataset import DataError, Source, Split
from pluggable_mlp.data.frames import Frame, PolarsMissingError, read_parquet, read_text_frame
from pluggable_mlp.data.preparation import Preparation
from pluggable_mlp.data.tables import NotNumbersError, NumberTable, read_number_table, read_text

__all__ = ["TABLES", "read_table", "read_table_inputs"]

TABLES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")


def read_table(
    path: str,
    target: str | None = None,
    known: Preparation | None = None,
    text_target: bool = False,
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
    text_target : bool, default False
        Read the target as texts, even if all its fields are numbers.

    Raises
    ------
    DataError
        If it cannot be read, has no such column, or lacks a target.
    """
    columns = None if known is None else known.columns
    table = _read(path) if columns is None else _frame_for(path, columns, target, text_target)
    width = table.width
    if width < 2:
        remedy = "separate by commas: the features, then a class or a number to predict"
        raise DataError(path, "has one column", remedy)
    chosen = _places(path, table.names, width, target)
    rest = [place for place in range(width) if place not in chosen]
    if not rest:
        raise DataError(path, "all columns are targets", "leave some for the features")
    if known is not None and columns is None:
        rest = _as_known(table.names, known.feature_names) or rest
    names = table.names or tuple(str(place + 1) for place in range(width))
    if isinstance(table, NumberTable):
        inputs, targets = table.values[:, rest], table.values[:, chosen]
        targets = targets[:, 0] if len(chosen) == 1 else targets
    else:
        inputs = table.select([names[place] for place in rest])
        targets = _targets(path, [(names[place], table.columns[place]) for place in chosen])
        plain = inputs.as_numbers() if columns is None else None
        inputs = inputs if plain is None else plain.values
    return Source(
        path,
        {"train": Split(inputs, targets)},
        target_names=tuple(names[place] for place in chosen),
        feature_names=None if table.names is None else tuple(names[place] for place in rest),
    )


def read_table_inputs(path: str, known: Preparation) -> Array | Frame:
    """Read the features of a table for a network: by their names where both have names.

    Parameters
    ----------
    path : str
        Ends with one of `TABLES`.
    known : Preparation
        What training made of its table.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    if known.columns is not None:
        return _frame_for(path, known.columns)
    table = _read(path, numbers=True)
    if isinstance(table, Frame):
        raise DataError(path, "holds texts or lacks values", "give numbers, as training had")
    places = _as_known(table.names, known.feature_names)
    return table.values if places is None else table.values[:, places]


def _as_known(names: tuple[str, ...] | None, known: tuple[str, ...] | None) -> list[int] | None:
    """Return the places of the features that training knew; None where a name is missing."""
    if names is None or known is None or not set(known) <= set(names):
        return None
    return [names.index(name) for name in known]


def _read(path: str, numbers: bool = False) -> NumberTable | Frame:
    """Return a table: of numbers where it holds nothing else; or must not, for a clear error."""
    if path.lower().endswith(".parquet"):
        frame = read_parquet(path)
        plain = frame.as_numbers()
        return frame if plain is None else plain
    text = read_text(path)
    try:
        return read_number_table(path, text)
    except NotNumbersError as error:
        if numbers:
            raise
        try:
            return read_text_frame(path, text)
        except PolarsMissingError as missing:
            raise error.or_else(f"for texts and missing values {missing.args[2]}") from None


def _frame_for(
    path: str, columns: Columns, target: str | None = None, text_target: bool = False
) -> Frame:
    """Return the columns of a table as training read them."""
    if path.lower().endswith(".parquet"):
        return read_parquet(path, columns.texts)
    text = read_text(path)
    if text.names is None:
        every = tuple(column.name for column in columns.columns)
        numbered = tuple(str(place) for place in range(1, text.width + 1))
        text = text._replace(names=every if text.width == len(every) else numbered)
    texts = set(columns.texts)
    if text_target:
        places = _places(path, text.names, text.width, target)
        texts |= {text.names[place] for place in places if text.names}
    return read_text_frame(path, text, texts)


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
