"""Which columns of a table are the features, and which the targets.

How a table is read belongs in `tables.py`, what becomes of its columns in `columns.py`.

Shapes: n rows, a column is (n,).
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.dataset import Source, Split
from pluggable_mlp.data.errors import DataError, rows_lack, warn
from pluggable_mlp.data.frame import Frame, Texts, is_missing
from pluggable_mlp.data.preparation import Preparation
from pluggable_mlp.data.table_files import open_table
from pluggable_mlp.data.tables import Table
from pluggable_mlp.registry import closest
from pluggable_mlp.wording import listed


def read_table(
    path: Any,
    target: str | None = None,
    preparation: Preparation | None = None,
    text_target: bool | None = None,
    header: bool | None = None,
    encoding: str | None = None,
) -> Source:
    """Read a table of examples, one for each row.

    Parameters
    ----------
    path, target, header, encoding
        As for `load_dataset`; by default the encoding is that of training.
    preparation : Preparation, optional
        Of the training: the features are found by the names that they have there.
    text_target : bool, optional
        Whether the target is texts; by default what its fields say.

    Raises
    ------
    DataError
        If it cannot be read, has no such column, or lacks a target.
    """
    table = open_table(path, preparation, header, encoding)
    width = len(table.columns)
    if width < 2:
        fault = f"has one column, which begins with {str(table.columns[0][0])[:50]!r}"
        remedy = "separate the fields of .csv by commas or semicolons, those of .tsv by tabs: the "
        raise DataError(table.source, fault, f"{remedy}features, then what to predict")
    chosen = _places(table, target, preparation)
    if len(chosen) == width:
        raise DataError(table.source, "all columns are targets", "leave some for the features")
    as_text = text_target if len(chosen) == 1 else False
    targets = [(table.name(place), table.target(place, as_text)) for place in chosen]
    places = _features(table, preparation, chosen)
    inputs = _inputs(table, preparation, places)
    read = [*inputs.columns, *(values for _, values in targets)]
    table.refuse_two_decimal_marks(dict(zip([*places, *chosen], read, strict=True)))
    return Source(
        table.source,
        {"train": Split(inputs, _targets(table.source, targets))},
        target_names=tuple(name for name, _ in targets),
        header=table.header,
        encoding=table.encoding,
    )


def read_table_inputs(
    path: Any, preparation: Preparation | None = None, targets: Collection[str] = ()
) -> Frame:
    """Read the features of a table for a network: by their names where both have names.

    The arguments are those of `load_inputs`.

    Raises
    ------
    DataError
        If it cannot be read, or lacks a feature.
    """
    table = open_table(path, preparation)
    beside = [k for k, name in enumerate(table.names or ()) if name in targets]
    places = _features(table, preparation, beside)
    inputs = _inputs(table, preparation, places)
    table.refuse_two_decimal_marks(dict(zip(places, inputs.columns, strict=True)))
    return inputs


def _features(
    table: Table, preparation: Preparation | None, targets: Sequence[int] = ()
) -> list[int]:
    """Return the places of the features: those that training knew, by their names if both have any.

    A warning lists columns that are not used.

    Raises
    ------
    DataError
        If one is missing.
    """
    rest = [place for place in range(len(table.columns)) if place not in targets]
    if preparation is None or preparation.columns is None:
        return rest
    names, every = table.names, [column.name for column in preparation.columns]
    used = preparation.used_names
    if names is None or not preparation.is_named:
        if not preparation.is_named and len(rest) != len(every):
            rest = [int(name) - 1 for name in every]  # in training; maybe the target is among them
        if len(rest) != len(every) or max(rest) >= len(table.columns):
            fault = f"has {len(rest)} features without names, training had {len(every)}"
            raise DataError(table.source, fault, f"give {', '.join(every[:20])}, in this order")
        return [rest[every.index(name)] for name in used]
    missing = [name for name in used if name not in names]
    if missing:
        word = "column" if len(missing) == 1 else "columns"
        fault = f"has no {word} {_listed(missing)}; it has {', '.join(names[:20])}"
        raise DataError(table.source, fault, f"give the columns {', '.join(used[:20])}")
    unused = [names[place] for place in rest if names[place] not in every]
    if unused:
        warn(table.source, f"columns that are not used: {_listed(unused)}")
    return [names.index(name) for name in used]


def _listed(names: Sequence[str]) -> str:
    return listed([*map(repr, names)])


def _inputs(table: Table, preparation: Preparation | None, places: Sequence[int]) -> Frame:
    """Return the features of a table, as numbers or texts as training knew them."""
    if preparation is None or preparation.columns is None:
        names = tuple(map(table.name, places))
        kinds = [None if preparation is None else "numbers"] * len(names)
    else:
        names = preparation.used_names
        kinds = ["texts" if of.is_text else "numbers" for of in preparation.used_columns]
    pairs = zip(places, kinds, strict=True)
    return Frame(names, tuple(table.column(*pair) for pair in pairs))


def _places(table: Table, target: str | None, preparation: Preparation | None) -> list[int]:
    """Return the places of the target's columns, from 0."""
    if target is None:
        return [len(table.columns) - 1]
    if table.names and target in table.names:  # which may hold a comma
        return [table.names.index(target)]
    return [_place(table, one.strip(), preparation) for one in target.split(",")]


def _place(table: Table, one: str, preparation: Preparation | None) -> int:
    names, width = table.names, len(table.columns)
    if names and one in names:
        return names.index(one)
    if one.lstrip("-").isdecimal() and 1 <= abs(int(one)) <= width:
        return int(one) - 1 if int(one) > 0 else width + int(one)
    if not names:
        fault = f"has {width} columns without names, and no target {one!r}"
        remedy = f"give its place from 1 to {width}"
        if preparation is not None and preparation.is_named:
            remedy = "name the columns in the first line, as training's table did"
        raise DataError(table.source, fault, remedy)
    fault = f"has no column {one!r}; it has {', '.join(names[:20])}"
    if preparation is not None:  # which has named the target
        remedy = f"give the target {one!r} under its name, as training's table did"
    elif near := closest(one, names):
        remedy = f"did you mean {near!r}?"
    else:
        remedy = "name one of these, or its place from 1"
    raise DataError(table.source, fault, remedy)


def _targets(source: str, columns: list[tuple[str, Any]]) -> Array:
    """Return texts (n,), numbers (n,), or rows of them (n, outputs); none may be missing."""
    for name, values in columns:
        lacking = np.flatnonzero(is_missing(values)).tolist()
        if lacking:
            fault = rows_lack(lacking, f"the target {name!r}")
            raise DataError(source, fault, "leave such rows out")
    if len(columns) == 1:
        ((_, values),) = columns
        return values.as_array() if isinstance(values, Texts) else values
    texts = [name for name, values in columns if isinstance(values, Texts)]
    if texts:
        fault = f"the target {texts[0]!r} holds texts"
        raise DataError(source, fault, "give one such column alone, or numbers")
    return np.stack([values for _, values in columns], axis=1)
