"""Checks of the estimators' data, of any kind, made once and reported in scikit-learn's words.

scikit-learn itself checks what is on the host (NumPy arrays, lists, frames, SciPy's sparse arrays);
y and sample_weight of another library are copied there.  X of another library is checked where it
is, by the same rules, whatever `array_api_dispatch` of scikit-learn is.

Sparse rows stay SciPy's: `SparseNamespace` has a `matmul` and a `take` for them, all else that a
layer computes is dense.  If a library other than NumPy trains, the rows of a batch are made dense
and moved when a product needs them.

Shapes: X (examples, features), y (examples,) or (examples, outputs), sample_weight (examples,).
"""

import sys
from collections.abc import Callable, Mapping
from functools import cached_property, partial, wraps
from numbers import Number
from types import EllipsisType
from typing import Any, TypeGuard, TypeVar, cast

import numpy as np
from array_api_compat import is_array_api_obj
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_consistent_length,
    column_or_1d,
)
from sklearn.utils.validation import validate_data as _validate_data

from pluggable_mlp import arrays as libraries
from pluggable_mlp.arrays import Array, Device, DType, Namespace, Nested, map_nested, transpose
from pluggable_mlp.arrays.shortcuts import array_context
from pluggable_mlp.backends import Backend, backend_of, get_backend
from pluggable_mlp.host.lazy import on_host
from pluggable_mlp.namespaces import namespace_of
from pluggable_mlp.training.examples import all_within, moved_floats

BINARY, MULTICLASS, MULTILABEL = "binary", "multiclass", "multilabel-indicator"
"""scikit-learn's words for the kinds of labels."""

_FLOATS = (np.float64, np.float32)

Method = TypeVar("Method", bound=Callable[..., object])


def computed_at_X(method: Method) -> Method:
    """Let a method (self, X, …) compute in the context of the backend of X."""

    @wraps(method)
    def there(self: object, X: object, *arguments: object, **settings: object) -> object:
        with array_context(X):
            return method(self, X, *arguments, **settings)

    return cast("Method", there)


def on_device(data: object) -> TypeGuard[Array]:
    """Return whether data are an array of another library than NumPy."""
    return is_array_api_obj(data) and not isinstance(data, np.ndarray | np.generic)


def place_of(data: object) -> Backend:
    """Return the backend of the data: their library on their device, NumPy for all of the host."""
    if not on_device(data):
        return get_backend("numpy")
    return backend_of(data)


def level_of_caller() -> int:
    """Return the stack level, for a warning of the calling function, of the user's line."""
    level = 1
    while sys._getframe(level).f_globals["__name__"].startswith(("pluggable_mlp.", "sklearn.")):
        level += 1
    return level


def move(data: Nested, backend: Backend) -> Nested:
    """Return arrays from any place, perhaps in lists, tuples and dicts, as the backend's."""
    return map_nested(partial(_move, backend=backend), data)


def _move(data: Array, backend: Backend) -> Array:
    if isinstance(data, SparseRows):
        return SparseRows(data.matrix, backend if on_device(backend.asarray([0.0])) else None)
    if on_device(data):
        origin = place_of(data)
        if (origin.name, origin.device) == (backend.name, backend.device):
            return data
    return backend.asarray(on_host(data))


def move_back(answers: Array, X: object) -> Array:
    """Return answers in the library and on the device of X; texts, and those of frames, in NumPy.

    float64 becomes float32 on a device without it.
    """
    are_numbers = answers.dtype.kind in "biuf"
    return moved_floats(place_of(X), answers, "float32") if are_numbers else answers


def namespace_for(arithmetic: str, backend: Backend, X: Array) -> Namespace:
    """Return the namespace in which an estimator computes with X.

    Raises
    ------
    ValueError
        If X is sparse and the arithmetic takes only dense arrays.
    """
    xp = namespace_of(arithmetic, backend)
    if not isinstance(X, SparseRows):
        return xp
    if xp is not backend.xp:
        raise ValueError(
            f"X is sparse, and arithmetic={arithmetic!r} takes dense arrays; pass X.toarray()"
        )
    return SparseNamespace(xp)


def check_X(estimator: object, X: object, *, reset: bool) -> Array:
    """Return X as floats of its library, or as `SparseRows`; record its features or check them.

    Raises
    ------
    ValueError, TypeError
        As scikit-learn's `validate_data`.
    """
    if on_device(X):
        array = _floats_on_device(X)
        stand_in = np.broadcast_to(0.0, tuple(array.shape))
        _validate_data(estimator, stand_in, reset=reset, ensure_all_finite=False)
        return array
    rows = _validate_data(
        estimator, X, accept_sparse=["csr", "csc"], dtype=_FLOATS, order="C", reset=reset
    )
    return SparseRows(csr_array(rows)) if issparse(rows) else rows


def host_copy(data: Any) -> Any:
    """Return an array of another library as NumPy's, and all else as it is."""
    if not on_device(data):
        return data
    array = on_host(libraries.without_graph(data))
    # PyTorch computes little with unsigned integers, which classes would be there.
    return array.astype(np.int64) if array.dtype.kind == "u" else array


def check_targets(
    estimator: object, X: Any, y: Any, *, numeric: bool, name: str = "y"
) -> NDArray[Any]:
    """Return y (examples,) or (examples, outputs), with more than one output, on the host.

    Parameters
    ----------
    estimator
        The caller, for errors.
    X : array, SparseRows or polars.DataFrame
        Already checked.
    y
        From any place.
    numeric : bool
        Whether y must be numbers.
    name : str, default "y"
        Of the argument, for errors.

    Raises
    ------
    ValueError
        As scikit-learn's `check_X_y`.
    """
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target "
            "y is None."
        )
    y = host_copy(y)
    if numeric and not issparse(y) and (values := np.asarray(y)).dtype.kind in "OUSmM":
        values = np.asarray(y, object) if values.dtype.kind in "US" else values
        for value in values.ravel():
            if isinstance(value, np.timedelta64) or not isinstance(value, Number | np.bool_):
                raise ValueError(f"{name} holds {str(value)!r}, expected numbers")
    targets = check_array(
        y,
        accept_sparse="csr",
        ensure_2d=False,
        dtype="numeric" if numeric else None,
        input_name=name,
        estimator=estimator,
    )
    targets = targets.toarray() if issparse(targets) else targets
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = column_or_1d(targets, warn=True)
    check_consistent_length(np.empty(X.shape[0]), targets)
    return targets


def check_sample_weight(count: int, sample_weight: Any, dtype: str) -> NDArray[Any] | None:
    """Return the weights (examples,) in a dtype, on the host, or None.

    Raises
    ------
    ValueError
        If they are neither one number nor one per example, or not finite, or all 0.
    """
    if sample_weight is None:
        return None
    weights: NDArray[Any] = _check_sample_weight(
        host_copy(sample_weight), np.empty(count), dtype=getattr(np, dtype)
    )
    if not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weights


def weights_by_index(class_weight: Mapping[Any, float], classes: NDArray[Any]) -> dict[int, float]:
    """Return the weights of classes by their indices; ValueError for an unknown class."""
    names = classes.tolist()
    if unknown := [name for name in class_weight if name not in names]:
        raise ValueError(f"class_weight has {unknown[0]!r}, expected classes of {names}")
    return {names.index(name): float(weight) for name, weight in class_weight.items()}


def check_same_place(estimator: object, X: Array, fitted: Array, method: str) -> None:
    """Refuse X if its library or device is not that of the fitted parameters.

    Raises
    ------
    ValueError
        In the words of scikit-learn's `check_same_namespace`.
    """
    place, expected = place_of(X), place_of(fitted)
    if (place.name, place.device) == (expected.name, expected.device):
        return
    raise ValueError(
        f"Inputs passed to {type(estimator).__name__}.{method}() must use the same namespace and "
        f"the same device as those passed to fit(): {expected.name} on {expected.device}, not "
        f"{place.name} on {place.device}; convert X, or load(path, backend=...) a saved model"
    )


def _floats_on_device(X: Array) -> Array:
    """Return an array (examples, features) of another library as finite floats."""
    xp = libraries.array_namespace(X)
    X = libraries.without_graph(X)
    if X.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {X.ndim}D array instead: X has shape {tuple(X.shape)}"
        )
    if xp.isdtype(X.dtype, "complex floating"):
        raise ValueError("Complex data not supported")
    if X.dtype not in (xp.float64, xp.float32):
        lacks_float64 = "float64" in getattr(backend_of(X), "missing_dtypes", ())
        X = xp.astype(X, xp.float32 if lacks_float64 else xp.float64)
    if 0 in X.shape or all_within(X, float(xp.finfo(X.dtype).max)):
        return X
    if bool(xp.any(xp.isnan(X))):
        raise ValueError("Input X contains NaN.")
    raise ValueError(f"Input X contains infinity or a value too large for {X.dtype}.")


class SparseRows:
    """A sparse matrix (rows, features) with the operations that a dense layer and a batch need.

    Parameters
    ----------
    matrix : scipy.sparse array
        CSR, or the CSC of its transpose.
    place : Backend or None
        Where products are computed, if not in SciPy.
    """

    ndim = 2

    def __init__(self, matrix: csr_array, place: Backend | None = None) -> None:
        self.matrix: csr_array = matrix
        self.place: Backend | None = place
        self.shape: tuple[int, int] = matrix.shape
        self.dtype: DType = matrix.dtype if place is None else getattr(place.xp, matrix.dtype.name)

    @cached_property
    def dense(self) -> Array:
        """The dense array, on the place."""
        array = self.matrix.toarray()
        return array if self.place is None else self.place.asarray(array)

    @property
    def device(self) -> Device:
        """The device of the dense array, on which noise and dropout of inputs draw."""
        return libraries.device_of(self.dense)

    @property
    def mT(self) -> Array:
        """The transpose, which shares the memory."""
        return SparseRows(self.matrix.T) if self.place is None else transpose(self.dense)

    def astype(self, dtype: DType) -> "SparseRows":
        """Return the same rows in a dtype."""
        return SparseRows(self.matrix.astype(dtype, copy=False), self.place)

    def __getitem__(self, key: tuple[slice, EllipsisType]) -> "SparseRows":
        """Return rows: the key is (slice, ...)."""
        return SparseRows(self.matrix[key[0]], self.place)

    def take(self, indices: Array) -> "SparseRows":
        """Return the rows at the indices, an array of the place."""
        places = indices if self.place is None else self.place.to_numpy(indices)
        return SparseRows(self.matrix[places], self.place)

    def __mul__(self, other: Array) -> Array:
        """Return the dense product with an array that broadcasts: one column or a batch of one."""
        return self.dense * other

    def __add__(self, other: Array) -> Array:
        """Return the dense sum with noise of the same shape."""
        return self.dense + other


class SparseNamespace:
    """The namespace of a library, whose products and gathers also take `SparseRows`."""

    def __init__(self, xp: Namespace) -> None:
        self._xp = xp

    def __getattr__(self, name: str) -> Any:
        return getattr(self._xp, name)

    def matmul(self, a: Array, b: Array) -> Array:
        """Return a b, dense; either may be sparse, and the other a stack of matrices."""
        if isinstance(a, SparseRows):
            is_sparse = a.place is None and b.ndim == 2
            return a.matrix @ b if is_sparse else self._xp.matmul(a.dense, b)
        if isinstance(b, SparseRows):
            return a @ b.matrix if a.ndim == 2 else self._xp.matmul(a, b.dense)
        return self._xp.matmul(a, b)

    def take(self, x: Array, indices: Array, *, axis: int) -> Array:
        """Return the rows at the indices."""
        if isinstance(x, SparseRows):
            return x.take(indices)
        return self._xp.take(x, indices, axis=axis)
