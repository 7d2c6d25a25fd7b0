"""What the estimators for tables are given, as the columns of a `Frame`.

Data frames of any library come through narwhals and polars, arrays as they are.  What becomes of
the columns is decided in `data/columns.py`.

Shapes: n rows, a column is (n,).
"""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.columns import Column
from pluggable_mlp.data.dataset import LARGEST_EXACT
from pluggable_mlp.data.errors import DataError
from pluggable_mlp.data.frame import Frame, Texts
from pluggable_mlp.data.table_files import open_table
from pluggable_mlp.data.tables import Table, import_polars
from pluggable_mlp.lazy import on_host

_NUMBERS, _TEXTS = "numbers", "texts"


def frame_of(
    estimator: BaseEstimator,
    X: Any,
    *,
    kinds: Sequence[tuple[str, str | None]] | None = None,
    categorical_features: Any = None,
) -> Frame:
    """Return the columns of X.

    Parameters
    ----------
    estimator : BaseEstimator
        Whose `n_features_in_` and `feature_names_in_` are set, or compared where there are
        `kinds`.
    X : data frame or array (n, features)
    kinds : sequence of tuples (name, kind), optional
        The columns as they were fitted: "numbers", "texts" or, of those that are not needed, None.
    categorical_features : sequence of int or of str, optional
        The places or the names of columns that hold categories, whatever their type.

    Raises
    ------
    ValueError, TypeError
        If X is no table, has other columns, or holds infinity, dates or lists: naming the column.
    """
    is_new = kinds is None
    if _is_frame(X):
        table: Any = open_table(X, None)
        validate_data(estimator, X, reset=is_new, skip_check_array=True)
        own = _categorical_columns(X)
    else:
        X = X if issparse(X) else on_host(X) if hasattr(X, "shape") else X
        array = validate_data(estimator, X, reset=is_new, dtype=None, ensure_all_finite="allow-nan")
        table, own = _table_of(array), set()
    if kinds is None:
        own |= _places(estimator, table, categorical_features)
        names = table.names or [f"x{place}" for place in range(len(table.columns))]
        kinds = [(name, _TEXTS if place in own else "") for place, name in enumerate(names)]
    try:
        found = {
            name: _column(table, place, kind)
            for place, (name, kind) in enumerate(kinds)
            if kind is not None
        }
    except DataError as error:
        if _is_frame(X):
            raise
        raise error.or_else("give a data frame, whose columns have names and types") from None
    return Frame(tuple(found), tuple(found.values()))


def kind_of(column: Column | Array | Texts) -> str:
    """Return the kind of a column, fitted or given."""
    is_text = column.is_text if isinstance(column, Column) else isinstance(column, Texts)
    return _TEXTS if is_text else _NUMBERS


def _is_frame(X: Any) -> bool:
    if not find_spec("narwhals"):
        return False
    from narwhals.dependencies import is_into_dataframe, is_polars_lazyframe

    if is_polars_lazyframe(X):
        raise ValueError("X is a LazyFrame of polars, expected a table of rows; pass X.collect()")
    return bool(is_into_dataframe(X))


def _categorical_columns(X: Any) -> set[int]:
    """Return the places of the columns whose type says that they hold categories."""
    import narwhals

    kinds = narwhals.from_native(X, eager_only=True).schema.values()
    named = (narwhals.Categorical, narwhals.Enum)
    return {place for place, kind in enumerate(kinds) if kind in named}


def _table_of(array: NDArray[Any]) -> Table:
    """Return an array (n, features) as a table: columns of numbers, or of polars."""
    name = "X"
    if array.dtype.kind in "iufb":
        columns: list[Any] = [np.ascontiguousarray(of, np.float64) for of in array.T]
    else:
        polars = import_polars(name)
        columns = [polars.Series("", of.tolist(), strict=False) for of in array.T]
    return Table(name, None, columns)


def _places(estimator: BaseEstimator, table: Table, chosen: Any) -> set[int]:
    """Return the places of columns that are chosen by name or place."""
    width, found = len(table.columns), set()
    for one in () if chosen is None else np.asarray(chosen, dtype=object).tolist():
        if isinstance(one, str) and one in (table.names or ()):
            found.add((table.names or ()).index(one))
        elif isinstance(one, int) and not isinstance(one, bool) and -width <= one < width:
            found.add(one % width)
        else:
            raise ValueError(
                f"categorical_features has {one!r}, expected places from 0 to {width - 1}, or "
                f"names of the columns of X, which {type(estimator).__name__} finds in data frames"
            )
    return found


def _column(table: Table, place: int, kind: str) -> Array | Texts:
    """Return a column as numbers, or as texts where the kind is that."""
    given = table.columns[place]
    if isinstance(given, np.ndarray):
        values: Array | Texts = given
    else:
        is_number = given.dtype.is_numeric()
        values = table.column(place, None if is_number else kind or None)
    if kind == _TEXTS and not isinstance(values, Texts):
        beyond = values[np.abs(values) > LARGEST_EXACT]
        if beyond.size:
            fault = f"column {table.name(place)!r} holds {beyond[0]:.0f}, a category beyond 2**53"
            raise DataError(table.source, fault, "convert the column to texts")
        return _as_texts(values)
    return values


def _as_texts(values: Array) -> Texts:
    """Return numbers (n,) as texts: whole ones without a point."""
    missing = np.isnan(values)
    numbers, places = np.unique(values[~missing], return_inverse=True)
    texts = [str(int(n)) if n.is_integer() else repr(n) for n in numbers.tolist()]
    order = sorted(range(len(texts)), key=texts.__getitem__)
    ranks = np.empty(len(texts), np.int32)
    ranks[order] = np.arange(len(texts))
    codes = np.full(values.size, -1, np.int32)
    codes[~missing] = ranks[places]
    return Texts(tuple(texts[k] for k in order), codes, were_numbers=True)
