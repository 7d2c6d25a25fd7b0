"""What the estimators for tables are given, as columns of polars.

What becomes of the columns is decided in `data/columns.py`.

Shapes: n rows, a column is (n,).
"""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from pluggable_mlp.data.choice import NUMBERS, TEXTS, Kind, typed
from pluggable_mlp.data.columns import Column, import_polars
from pluggable_mlp.data.dataset import LARGEST_EXACT
from pluggable_mlp.data.errors import DataError, warn
from pluggable_mlp.data.tables import open_table, source_of
from pluggable_mlp.lazy import on_host
from pluggable_mlp.options import DataOptions
from pluggable_mlp.wording import listed


def frame_of(
    estimator: BaseEstimator,
    X: Any,
    *,
    kinds: Sequence[tuple[str, Kind | Literal[""] | None]] | None = None,
    categorical_features: Any = None,
) -> tuple[Any, set[str]]:
    """Return the columns of X (polars.DataFrame), and the names of those that hold categories.

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
        If X is no table, lacks columns, or holds infinity or lists: naming the column.
    """
    is_new, is_frame, places = kinds is None, _is_frame(X), None
    source = source_of(X) if is_frame else "X"
    if is_frame:
        table, _ = open_table(DataOptions(data=X))
        if kinds is not None and hasattr(estimator, "feature_names_in_"):
            places = _by_name(source, table.columns, kinds)
        else:
            validate_data(estimator, X, reset=is_new, skip_check_array=True)
        own = _categorical_columns(X)
    else:
        X = X if issparse(X) else on_host(X) if hasattr(X, "shape") else X
        array = validate_data(estimator, X, reset=is_new, dtype=None, ensure_all_finite="allow-nan")
        table, own = _table_of(array), set()
    if kinds is None:
        names = table.columns if is_frame else ()
        own |= _places(estimator, table.width, names, categorical_features)
        kinds = [(name, TEXTS if k in own else "") for k, name in enumerate(table.columns)]
    try:
        columns = {
            name: _column(source, table[:, place].alias(name), kind)
            for place, (name, kind) in zip(places or range(len(kinds)), kinds, strict=True)
            if kind is not None
        }
    except DataError as error:
        if is_frame:
            raise
        raise error.or_else("give a data frame, whose columns have names and types") from None
    return import_polars().DataFrame(columns), {name for name, kind in kinds if kind == TEXTS}


def _by_name(
    source: str, names: Sequence[str], kinds: Sequence[tuple[str, str | None]]
) -> list[int]:
    """Return the places of the columns, in any order among others; -1 of one that is not needed.

    A warning lists columns that are not used.
    """
    needed = [name for name, kind in kinds if kind is not None]
    if missing := [name for name in needed if name not in names]:
        fault = f"has no column {listed([*map(repr, missing)])}; it has {', '.join(names[:20])}"
        raise DataError(source, fault, f"give the columns {', '.join(needed[:20])}")
    if unused := set(names).difference(name for name, _ in kinds):
        shown = listed([repr(name) for name in names if name in unused])
        warn(source, f"columns that are not used: {shown}")
    return [names.index(name) if kind is not None else -1 for name, kind in kinds]


def kind_of(column: Column) -> Kind:
    """Return the kind of a column that was fitted."""
    return TEXTS if column.is_text else NUMBERS


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


def _table_of(array: NDArray[Any]) -> Any:
    """Return an array (n, features) as columns of polars: x0, x1, …."""
    polars = import_polars("X")
    if array.dtype.kind in "iufb":
        columns = [np.ascontiguousarray(column, np.float64) for column in array.T]
    else:
        columns = [column.tolist() for column in array.T]
    return polars.DataFrame(
        [polars.Series(f"x{k}", column, strict=False) for k, column in enumerate(columns)]
    )


def _places(estimator: BaseEstimator, width: int, names: Sequence[str], chosen: Any) -> set[int]:
    """Return the places of columns that are chosen by name or place."""
    found = set()
    for one in () if chosen is None else np.asarray(chosen, dtype=object).tolist():
        if isinstance(one, str) and one in names:
            found.add(names.index(one))
        elif isinstance(one, int) and not isinstance(one, bool) and -width <= one < width:
            found.add(one % width)
        else:
            raise ValueError(
                f"categorical_features has {one!r}, expected places from 0 to {width - 1}, or "
                f"names of the columns of X, which {type(estimator).__name__} finds in data frames"
            )
    return found


def _column(source: str, column: Any, kind: Kind | Literal[""]) -> Any:
    """Return a column as numbers, which may be categories, or as texts where the kind is that."""
    if not column.dtype.is_numeric():
        return typed(source, column, kind or None)
    values = typed(source, column)
    if kind == TEXTS:
        beyond = values.filter(values.abs() > LARGEST_EXACT)
        if len(beyond):
            fault = f"column {column.name!r} holds {beyond[0]:.0f}, a category beyond 2**53"
            raise DataError(source, fault, "convert the column to texts")
    return values
