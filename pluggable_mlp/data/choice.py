"""Which columns of a table are features or targets, and which hold numbers or texts.

The rules are those of docs/how-to/data.md.  How a table is read belongs in `tables.py`, what
becomes of its columns in `columns.py`.

Shapes: n rows, a column is (n,): Float64, null where a number is missing, or an Enum of texts.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.columns import as_enum, as_texts
from pluggable_mlp.data.errors import DataError, warn
from pluggable_mlp.data.preparation import Preparation
from pluggable_mlp.data.split import number_groups
from pluggable_mlp.data.tables import MISSING, Decimal, as_numbers, open_table
from pluggable_mlp.data.values import LARGEST_EXACT, Split, Splits, source_of
from pluggable_mlp.fields import did_you_mean, list_first
from pluggable_mlp.options import DataOptions

if TYPE_CHECKING:
    from polars import DataFrame, Series

MOSTLY = 0.9
"""A column with this share of numbers is numeric, and its texts are faults."""

_CODE = r"[+-]?0[0-9]+|\+[0-9]+"


def read_table(
    options: DataOptions, preparation: Preparation | None = None
) -> tuple[Splits, dict[str, Any]]:
    """Read a table of examples, and its `target_names`, `header` and `groups`.

    The features are looked up by the names that they have in the preparation of training.

    Raises
    ------
    DataError
        If it cannot be read, has no such column, or lacks a target.
    """
    reading = preparation or options
    frame, header = open_table(options.data, reading)
    source, columns, decimal = source_of(options.data), frame.columns, reading.decimal
    target_names = _targets(source, columns, options.target, preparation)
    groups, non_features = None, target_names
    if options.validation_by is not None:
        by = _target(source, columns, options.validation_by)
        if by in target_names:
            raise DataError(source, f"validation_by is the target {by!r}", "name another column")
        texts = _texts(source, frame[by])  # as written: large integers are not rounded
        _refuse_missing(source, texts, "group")
        groups, non_features = number_groups(texts.to_list()), [*target_names, by]
    if len(non_features) == len(columns):
        remedy = "separate columns by commas or semicolons, in .tsv by tabs"
        raise DataError(source, f"has no column but {_list_names(columns)}", remedy)
    as_text = None if options.task in (None, "classification") else False
    if preparation is not None:
        as_text = preparation.has_text_labels
    if len(target_names) > 1:
        as_text = False
    targets = [
        convert_target(source, frame[name], as_text, decimal=decimal) for name in target_names
    ]
    inputs = inputs_of(source, frame, header, reading, non_features)
    splits = {"train": Split(inputs, _as_array(source, targets))}
    return splits, {"target_names": tuple(target_names), "header": header, "groups": groups}


def read_table_inputs(data: Any, preparation: Preparation | None = None) -> "DataFrame":
    """Read the features of a table for a network (polars.DataFrame).

    The arguments are those of `load_inputs`.

    Raises
    ------
    DataError
        If it cannot be read, or lacks a feature.
    """
    reading = preparation or DataOptions()
    frame, header = open_table(data, reading)
    targets: Sequence[str] = ()
    if preparation is not None and header is not False:
        targets = preparation.target_names or ()
    return inputs_of(source_of(data), frame, header, reading, targets)


def inputs_of(
    source: str,
    frame: "DataFrame",
    header: bool | None,
    reading: DataOptions | Preparation,
    targets: Sequence[str] = (),
) -> "DataFrame":
    """Return the features of a table, as the numbers or texts that they were in training."""
    features = [name for name in frame.columns if name not in targets]
    places, texts = {name: name for name in features}, dict.fromkeys(features, None)
    if isinstance(reading, Preparation):
        texts = dict.fromkeys(features, False)
        if reading.columns is not None:
            places = _places(source, frame.columns, features, header, reading)
            texts = {column.name: column.kind != "number" for column in reading.used_columns}
    columns = {
        name: convert_column(source, frame[place], texts[name], decimal=reading.decimal)
        for name, place in places.items()
    }
    return type(frame)(columns)


def _places(
    source: str,
    columns: Sequence[str],
    features: Sequence[str],
    header: bool | None,
    preparation: Preparation,
) -> dict[str, str]:
    """Return where the features of training are: by name, or in order if a table has no names."""
    names = preparation.used_names
    every = [column.name for column in preparation.columns or ()]
    is_bare = header is False or not preparation.is_named
    if is_bare and len(features) == len(every):
        return {name: features[every.index(name)] for name in names}
    if missing := [name for name in names if name not in columns]:
        fault = f"has no column {_list_names(missing)}; it has {', '.join(columns[:20])}"
        raise DataError(source, fault, f"give the columns {', '.join(names[:20])}")
    expected = {*every, *(preparation.target_names or ())}
    if surplus := [name for name in features if name not in expected]:
        warn(source, f"columns that are not used: {_list_names(surplus)}")
    return {name: name for name in names}


def _list_names(names: Sequence[str]) -> str:
    return list_first([*map(repr, names)])


def _targets(
    source: str,
    columns: Sequence[str],
    names: str | None,
    preparation: Preparation | None,
) -> list[str]:
    """Return the columns of the target: training's own, or those asked for, by default the last."""
    if preparation is not None and preparation.columns is not None:
        by_place = not preparation.is_named
        return [_target(source, columns, one, by_place) for one in preparation.target_names or ()]
    if names is None:
        return [columns[-1]]
    if names in columns:  # which may hold a comma
        return [names]
    return [_target(source, columns, one.strip()) for one in names.split(",")]


def _target(source: str, columns: Sequence[str], one: str, by_place: bool = True) -> str:
    """Return the column of a target, by its name or, counted from 1, its place."""
    if one in columns:
        return one
    if by_place and one.lstrip("-").isdecimal() and 1 <= abs(int(one)) <= len(columns):
        return columns[int(one) - (int(one) > 0)]
    remedy = f"it has {', '.join(columns[:20])}{did_you_mean(one, columns)}"
    raise DataError(source, f"has no column {one!r}", remedy)


def _as_array(source: str, columns: Sequence["Series"]) -> Array:
    """Return texts (n,), numbers (n,), or rows of them (n, outputs); none may be missing."""
    for column in columns:
        _refuse_missing(source, column, "target")
    texts = [column for column in columns if not column.dtype.is_numeric()]
    if texts and len(columns) > 1:
        fault = f"the target {texts[0].name!r} holds texts"
        raise DataError(source, fault, "give it alone, or numbers")
    if texts:
        return np.asarray(as_texts(texts[0]).to_list())
    arrays = [column.to_numpy() for column in columns]
    return arrays[0] if len(arrays) == 1 else np.stack(arrays, axis=1)


def _refuse_missing(source: str, column: "Series", what: str) -> None:
    if column.null_count():
        row = int(column.is_null().arg_true()[0]) + 1
        fault = f"row {row} lacks the {what} {column.name!r}"
        raise DataError(source, fault, f"leave out rows without a {what}")


def convert_column(
    source: str, column: "Series", as_text: bool | None = None, *, decimal: Decimal = "point"
) -> "Series":
    """Return a column of a table as numbers, or as texts.

    Parameters
    ----------
    source : str
        For errors.
    column : polars.Series
    as_text : bool, optional
        Whether training saw texts in it; by default numbers if all values that are not missing are.
        Numbers stay numbers: `encode` matches them with categories of the same text.
    decimal : {"point", "comma"}
        The decimal mark of numbers written as texts.

    Raises
    ------
    DataError
        If it holds a text among numbers, infinity, or values such as lists.
    """
    import polars

    if column.dtype.is_numeric():
        numbers = _finite(source, column.cast(polars.Float64))
        rounded = numbers.filter(numbers.abs() >= LARGEST_EXACT)  # perhaps, on the way to here
        if as_text and len(rounded):
            fault = f"column {column.name!r} holds {rounded[0]:.0f}, a category of 2**53 or more"
            raise DataError(source, fault, "convert the column to texts")
        return numbers
    texts = _texts(source, column)
    if as_text:
        return as_enum(texts)
    numbers = as_numbers(texts, decimal)
    count, right = (len(reading) - reading.null_count() for reading in (texts, numbers))
    if right == count:
        return _finite(source, numbers)
    if as_text is False or right >= MOSTLY * count:
        row = int((numbers.is_null() & texts.is_not_null()).arg_true()[0])
        fault = f"column {column.name!r} holds {texts[row][:50]!r} in row {row + 1}, not a number"
        remedy = "correct it, or leave the field empty if it is missing"
        if row == 0:
            header = ", or say --header yes (header=True)," if as_text is None else ""
            remedy = f"leave the line out{header} if it names columns"
        raise DataError(source, fault, remedy)
    return as_enum(texts)


def convert_target(
    source: str, column: "Series", as_text: bool | None = None, *, decimal: Decimal = "point"
) -> "Series":
    """Return a target column as classes or numbers, or as training had it.

    Integers stay integers.  Texts are kept as written, and only an empty one is missing.  By
    default a column is texts if it holds anything but numbers, unless one has a fraction, or if
    it holds codes: whole numbers, one of them written as 01 or +1.

    Raises
    ------
    DataError
        As for `convert_column`.
    """
    if as_text is None and column.dtype.is_integer():
        return column
    if as_text is False or (as_text is None and column.dtype.is_numeric()):
        return convert_column(source, column, decimal=decimal)
    import polars

    texts = _texts(source, column, missing=("",))
    if as_text:
        return as_enum(texts)
    numbers, are_whole = as_numbers(texts, decimal), texts.str.contains(r"^[+-]?[0-9]+$")
    if (numbers.is_not_null() & ~are_whole).any():
        return convert_column(source, column, decimal=decimal)
    if numbers.null_count() > texts.null_count() or texts.str.contains(f"^({_CODE})$").any():
        return as_enum(texts)
    whole = texts.cast(polars.Int64, strict=False)
    beyond = texts.filter(whole.is_null() & texts.is_not_null())
    if len(beyond):  # as floats, different ones would be the same
        fault = f"the target {column.name!r} holds {beyond[0][:50]}"
        raise DataError(source, fault, "scale it to at most 2**53")
    return whole


def _finite(source: str, numbers: "Series") -> "Series":
    """Return a column of floats, null where one is missing; DataError for infinity."""
    infinite = numbers.is_infinite().arg_true()
    if len(infinite):
        row = infinite[0]
        fault = f"column {numbers.name!r} holds {numbers[row]} in row {row + 1}"
        raise DataError(source, fault, "remove or fill such values first")
    return numbers.fill_nan(None)


def _texts(source: str, column: "Series", missing: Sequence[str] = MISSING) -> "Series":
    """Return a column as texts without blanks around them, null for those that mean missing."""
    import polars

    try:
        texts = column.cast(polars.String).str.strip_chars()
        return texts.set(texts.str.to_lowercase().is_in(missing), None)
    except polars.exceptions.PolarsError:
        fault = f"column {column.name!r} is of type {column.dtype}"
        remedy = "write it as numbers or as texts, or leave it out"
        raise DataError(source, fault, remedy) from None
