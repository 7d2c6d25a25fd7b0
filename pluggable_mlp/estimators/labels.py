"""Class labels of any kind, and the numbers that a loss knows them by.

Shapes: labels y are (examples,), or an indicator (examples, labels) of 0 and 1; classes (classes,)
are in ascending order.  `xp` is the namespace of y: NumPy's for what comes from the host, strings
included.
"""

from sklearn.utils.multiclass import check_classification_targets, type_of_target

from pluggable_mlp.arrays import Array, DType, Namespace

__all__ = ["BINARY", "MULTICLASS", "MULTILABEL", "accuracy", "indices_of", "kind_of_labels"]

BINARY, MULTICLASS, MULTILABEL = "binary", "multiclass", "multilabel-indicator"


def kind_of_labels(xp: Namespace, y: Array, *, on_host: bool) -> str:
    """Return `BINARY`, `MULTICLASS` or `MULTILABEL`, scikit-learn's words.

    Parameters
    ----------
    xp
        The namespace of y.
    y : array (examples,) or (examples, labels)
    on_host : bool
        Whether y is an array of NumPy, which scikit-learn can check.

    Raises
    ------
    ValueError
        If y does not consist of class labels.
    """
    if on_host:
        check_classification_targets(y)
        kind: str = type_of_target(y, input_name="y")
    else:
        kind = _kind_on_device(xp, y)
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


def indices_of(xp: Namespace, classes: Array, y: Array) -> tuple[Array, Array]:
    """Return the place of each label in the classes, and whether it is there, both (examples,)."""
    # PyTorch searches a type in the same alone.
    if floats := [of.dtype for of in (classes, y) if xp.isdtype(of.dtype, "real floating")]:
        classes, y = (xp.astype(each, floats[0]) for each in (classes, y))
    elif xp.isdtype(y.dtype, ("bool", "integral")):
        classes, y = (xp.astype(each, xp.int64) for each in (classes, y))
    last = classes.shape[0] - 1
    places = xp.searchsorted(classes, y)
    places = xp.where(places > last, last, places)
    return places, xp.take(classes, places, axis=0) == y


def accuracy(xp: Namespace, right: Array, sample_weight: Array | None, dtype: DType) -> float:
    """Return the weighted share of the right ones.

    Parameters
    ----------
    xp
        The namespace of the arrays.
    right : array (examples,) or (examples, labels) of bool
        Of several labels all must be right.
    sample_weight : array (examples,) or None
    dtype
        Of the result.
    """
    right = xp.astype(xp.all(right, axis=-1) if right.ndim == 2 else right, dtype)
    if sample_weight is None:
        return float(xp.mean(right))
    return float(xp.sum(right * sample_weight) / xp.sum(sample_weight))
