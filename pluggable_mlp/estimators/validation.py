"""The estimators' door: data of any kind are checked here once, in scikit-learn's words.

What comes from the host (NumPy arrays, lists, frames, SciPy's sparse arrays) is checked by
scikit-learn itself, arrays of another library by the same rules, where they are, whether or not
scikit-learn is told to dispatch.  Shapes: X (examples, features), y (examples,) or
(examples, outputs), sample_weight (examples,).
"""

from collections.abc import Callable
from functools import partial, wraps
from numbers import Real
from typing import Any, TypeGuard, TypeVar, cast

import numpy as np
from array_api_compat import is_array_api_obj
from scipy.sparse import csr_array, issparse
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d
from sklearn.utils.validation import validate_data as _validate_data

from pluggable_mlp.arrays import Array, Namespace, array_namespace, dtype_name, without_graph
from pluggable_mlp.backends import Backend, backend_of, get_backend
from pluggable_mlp.estimators.sparse import SparseNamespace, SparseRows
from pluggable_mlp.namespaces import namespace_of
from pluggable_mlp.shortcuts import on_device_of
from pluggable_mlp.training.examples import all_within
from pluggable_mlp.training.trees import Tree, map_arrays

BINARY, MULTICLASS, MULTILABEL = "binary", "multiclass", "multilabel-indicator"

_FLOATS = (np.float64, np.float32)

Method = TypeVar("Method", bound=Callable[..., object])


def computed_at_X(method: Method) -> Method:
    """Let a method (self, X, …) compute on the device of X: see `on_device_of`."""

    @wraps(method)
    def there(self: object, X: object, *arguments: object, **named: object) -> object:
        with on_device_of(X):
            return method(self, X, *arguments, **named)

    return cast("Method", there)


def on_device(data: object) -> TypeGuard[Array]:
    """Return whether data are an array of another library than NumPy."""
    return is_array_api_obj(data) and not isinstance(data, np.ndarray | np.generic)


def place_of(data: object) -> Backend:
    """Return the backend of the data: their library on their device, NumPy for all of the host."""
    if not on_device(data):
        return get_backend("numpy")
    with on_device_of(data):  # to make a backend may change the current device
        return backend_of(data)


def moved(data: object, backend: Backend) -> Array:
    """Return data of any place as an array of the backend."""
    if isinstance(data, SparseRows):
        return SparseRows(data.matrix, backend if on_device(backend.asarray([0.0])) else None)
    if on_device(data):
        its_own = place_of(data)
        if (its_own.name, its_own.device) == (backend.name, backend.device):
            return data
        with on_device_of(data):  # to move an array may change it, too
            return backend.asarray(its_own.to_numpy(data))
    return backend.asarray(np.asarray(data))


def moved_tree(tree: Tree, backend: Backend) -> Tree:
    """Return a list of dicts of arrays of any place with arrays of the backend."""
    return map_arrays(partial(moved, backend=backend), tree)


def namespace_for(arithmetic: str, backend: Backend, X: Array) -> Namespace:
    """Return the namespace in which an estimator computes with X.

    Raises
    ------
    ValueError
        If X is sparse, and the arithmetic takes dense arrays alone.
    """
    xp = namespace_of(arithmetic, backend)
    if not isinstance(X, SparseRows):
        return xp
    if xp is not backend.xp:
        raise ValueError(
            f"X is sparse, and arithmetic={arithmetic!r} takes dense arrays alone; "
            "pass X.toarray(), or take arithmetic='native'"
        )
    return SparseNamespace(xp)


def check_X(estimator: object, X: object, *, reset: bool) -> Array:
    """Return X as floats of its library, or as `SparseRows`; set or hold what fit saw of it.

    Raises
    ------
    ValueError, TypeError
        As scikit-learn's `validate_data`.
    """
    if on_device(X):
        X = _check_on_device(X, type(estimator).__name__)
        _validate_data(estimator, X, reset=reset, skip_check_array=True)
        return X
    rows = _validate_data(
        estimator, X, accept_sparse=["csr", "csc"], dtype=_FLOATS, order="C", reset=reset
    )
    return SparseRows(csr_array(rows)) if issparse(rows) else rows


def check_targets(estimator: object, X: Array, y: object, *, numeric: bool) -> Array:
    """Return y as an array, (examples,) or (examples, outputs) with more than one output.

    Parameters
    ----------
    estimator
        Who asks, for the error.
    X : array or SparseRows
        Already checked.
    y
        Where it came from: an array of NumPy, or of its own library.
    numeric : bool
        Whether y must be numbers.

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
    if on_device(y):
        targets = _check_targets_on_device(y)
    else:
        targets = check_array(
            y,
            accept_sparse="csr",
            ensure_2d=False,
            dtype="numeric" if numeric else None,
            ensure_all_finite=True,
            input_name="y",
            estimator=estimator,
        )
        targets = targets.toarray() if issparse(targets) else targets
        if targets.ndim == 2 and targets.shape[1] == 1:
            targets = column_or_1d(targets, warn=True)
        if numeric and targets.dtype.kind == "O":
            targets = targets.astype(np.float64)
    if X.shape[0] != targets.shape[0]:
        check_consistent_length(np.empty(X.shape[0]), np.empty(targets.shape[0]))
    return targets


def _check_targets_on_device(y: Array) -> Array:
    xp, y = array_namespace(y), without_graph(y)
    if xp.isdtype(y.dtype, "complex floating"):
        raise ValueError("Complex data not supported: y")
    if xp.isdtype(y.dtype, "real floating"):
        _refuse_infinities(xp, y, "y")
    if xp.isdtype(y.dtype, "unsigned integer"):
        y = xp.astype(y, xp.int64)  # PyTorch computes little with the others
    if y.ndim == 2 and y.shape[1] == 1:
        y = xp.reshape(y, (-1,))
    if y.ndim not in (1, 2):
        raise ValueError(f"y should be a 1d array, got an array of shape {tuple(y.shape)} instead.")
    return y


def kind_of_labels(y: Array) -> str:
    """Return `BINARY`, `MULTICLASS` or `MULTILABEL`, scikit-learn's words, for checked targets.

    Raises
    ------
    ValueError
        If y does not consist of class labels.
    """
    if on_device(y):
        kind = _kind_on_device(array_namespace(y), y)
    else:
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y")
    if "multioutput" in kind:
        raise ValueError("Multioutput target data is not supported with label binarization")
    return kind


def _kind_on_device(xp: Namespace, y: Array) -> str:
    if xp.isdtype(y.dtype, "real floating") and not bool(xp.all(xp.floor(y) == y)):
        raise ValueError(
            "Unknown label type: continuous. Maybe you are trying to fit a classifier, which "
            "expects discrete classes on a regression target with continuous values."
        )
    if y.ndim == 2:
        indicator = bool(xp.all((y == 0) | (y == 1)))
        return MULTILABEL if indicator else "multiclass-multioutput"
    return BINARY if xp.unique_values(y).shape[0] <= 2 else MULTICLASS


def check_sample_weight(
    count: int, sample_weight: Any, backend: Backend, dtype: str
) -> Array | None:
    """Return the weights of so many examples on the backend and of a dtype, (examples,), or None.

    Raises
    ------
    ValueError
        If they are not a number, or one for each example, or not finite or below 0, or all 0.
    """
    if sample_weight is None:
        return None
    if not on_device(sample_weight):
        if isinstance(sample_weight, Real):
            sample_weight = np.full(count, float(sample_weight))
        sample_weight = check_array(
            sample_weight, ensure_2d=False, dtype=_FLOATS, input_name="sample_weight"
        ).astype(dtype)
    if sample_weight.ndim != 1:
        raise ValueError(
            f"Sample weights must be 1D array or scalar, got {sample_weight.ndim}D array."
        )
    if sample_weight.shape[0] != count:
        raise ValueError(
            f"sample_weight.shape == {tuple(sample_weight.shape)}, expected {(count,)}!"
        )
    weights = backend.asarray(moved(without_graph(sample_weight), backend), dtype=dtype)
    _refuse_infinities(backend.xp, weights, "sample_weight")
    if bool(backend.xp.all(weights == 0)):
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weights


def check_same_place(estimator: object, X: Array, fitted: Array, method: str) -> None:
    """Refuse X of another library or device than the fitted parameters are.

    Raises
    ------
    ValueError
        In the words of scikit-learn's `check_same_namespace`.
    """
    if not on_device(X) and not on_device(fitted):
        return
    here, there = place_of(X), place_of(fitted)
    if (here.name, here.device) == (there.name, there.device):
        return
    raise ValueError(
        f"Inputs passed to {type(estimator).__name__}.{method}() must use the same namespace and "
        "the same device as those passed to fit(). "
        f"X is of {here.name} on {here.device}, the model of {there.name} on {there.device}; "
        "convert X, or save the model and load it with load(path, backend=...)"
    )


def _check_on_device(X: Array, name: str) -> Array:
    """Return an array (examples, features) of another library as finite floats."""
    xp = array_namespace(X)
    X = without_graph(X)
    if X.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {X.ndim}D array instead: X has shape {tuple(X.shape)}. "
            "Reshape your data either using array.reshape(-1, 1) if your data has a single "
            "feature or array.reshape(1, -1) if it contains a single sample."
        )
    for axis, what in enumerate(("sample(s)", "feature(s)")):
        if X.shape[axis] < 1:
            raise ValueError(
                f"Found array with 0 {what} (shape={tuple(X.shape)}) while a minimum of 1 is "
                f"required by {name}."
            )
    if xp.isdtype(X.dtype, "complex floating"):
        raise ValueError("Complex data not supported")
    if X.dtype not in (xp.float64, xp.float32):
        kinds = xp.__array_namespace_info__().dtypes(device=X.device, kind="real floating")
        X = xp.astype(X, kinds.get("float64", xp.float32))
    _refuse_infinities(xp, X, "X")
    return X


def _refuse_infinities(xp: Namespace, array: Array, name: str) -> None:
    if all_within(array, float(xp.finfo(array.dtype).max)):
        return
    if bool(xp.any(xp.isnan(array))):
        raise ValueError(f"Input {name} contains NaN.")
    raise ValueError(
        f"Input {name} contains infinity or a value too large for {dtype_name(array.dtype)}."
    )
