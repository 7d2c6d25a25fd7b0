"""Inputs of the estimators for tables, as columns of polars.

`data/columns.py` decides how columns become features.

Shapes: n rows, a column is (n,).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils._indexing import _get_column_indices
from sklearn.utils.validation import validate_data

from pluggable_mlp.data.choice import inputs_of, typed
from pluggable_mlp.data.preparation import Preparation
from pluggable_mlp.data.tables import open_table
from pluggable_mlp.data.values import source_of
from pluggable_mlp.lazy import on_host
from pluggable_mlp.wording import require


def frame_to_fit(estimator: Any, X: Any) -> tuple[Any, set[str]]:
    """Return the columns of X (polars.DataFrame), and the names of those that hold categories.

    This sets `n_features_in_` and `feature_names_in_` of the estimator.

    Parameters
    ----------
    estimator : TableClassifier or TableRegressor
    X : data frame or array (n, features)

    Raises
    ------
    ValueError, TypeError
        If X is not a table, or a column holds infinity or lists; the message names it.
    """
    is_frame = _is_frame(X)
    source, table = _opened(estimator, X, is_frame, reset=True)
    chosen = estimator.categorical_features
    chosen = [] if chosen is None else np.asarray(chosen, object).tolist()
    places = {*_get_column_indices(table, chosen)}
    if is_frame:
        places |= _categorical_columns(X)
    names = {table.columns[place] for place in places}
    columns = [typed(source, column, column.name in names or None) for column in table]
    return type(table)(columns), names


def frame_like(estimator: BaseEstimator, X: Any, preparation: Preparation) -> Any:
    """Return the columns of X (polars.DataFrame) that a fit used.

    A frame's columns are found by name if the fit's columns had names, else by position.

    Raises
    ------
    ValueError, TypeError
        As for `frame_to_fit`, or if X lacks columns.
    """
    is_frame = _is_frame(X)
    source, table = _opened(estimator, X, is_frame, reset=False)
    header = None if is_frame and hasattr(estimator, "feature_names_in_") else False
    return inputs_of(source, table, header, preparation)


def _opened(estimator: BaseEstimator, X: Any, is_frame: bool, *, reset: bool) -> tuple[str, Any]:
    """Return X's name for errors, and X as columns of polars; those of an array are x0, x1, …."""
    if is_frame:
        table, _ = open_table(X)
        if reset or not hasattr(estimator, "feature_names_in_"):
            validate_data(estimator, X, reset=reset, skip_check_array=True)
        return source_of(X), table
    X = X if issparse(X) else on_host(X) if hasattr(X, "shape") else X
    array = validate_data(estimator, X, reset=reset, dtype=None, ensure_all_finite="allow-nan")
    return "X", _table_of(array)


def _is_frame(X: Any) -> bool:
    require("polars", "tables", "X: is a table, and tables are read")
    from narwhals.dependencies import is_into_dataframe

    return bool(is_into_dataframe(X))


def _categorical_columns(X: Any) -> set[int]:
    """Return the places of the columns whose type says that they hold categories."""
    import narwhals

    kinds = narwhals.from_native(X, eager_only=True).schema.values()
    categorical_types = (narwhals.Categorical, narwhals.Enum)
    return {place for place, kind in enumerate(kinds) if kind in categorical_types}


def _table_of(array: NDArray[Any]) -> Any:
    """Return an array (n, features) as columns of polars."""
    import polars

    are_numbers = array.dtype.kind in "iufb"
    columns = np.ascontiguousarray(array.T, np.float64) if are_numbers else array.T.tolist()
    return polars.DataFrame({f"x{k}": column for k, column in enumerate(columns)}, strict=False)
