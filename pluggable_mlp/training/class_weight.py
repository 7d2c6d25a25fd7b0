"""Conversion of class_weight, as in scikit-learn, to sample_weight, once before training.

Shapes: targets are (examples,) or rows (examples, outputs); weights are (examples,).
"""

import math
from collections.abc import Collection, Iterable, Mapping

from pluggable_mlp.arrays import Array, DType, Namespace, device_of
from pluggable_mlp.arrays.shortcuts import take_rows
from pluggable_mlp.network.loss import TargetKind


def class_weights_of_examples(
    xp: Namespace,
    kind: TargetKind,
    targets: Array,
    outputs: int,
    class_weight: object,
    dtype: DType,
) -> Array:
    """Return the weight of the class of each example, (examples,).

    Parameters
    ----------
    xp
        The namespace of the targets.
    kind : {"classes", "labels", "numbers", "counts"}
        The kind of targets of the loss.
    targets : array (examples,) or (examples, outputs)
        Already checked.  The class of a row of probabilities is that of the largest; labels of at
        least 1/2 count as 1.
    outputs : int
        The number of classes, or of labels per example.
    class_weight : "balanced", mapping or sequence
        {class: weight}, by default 1; or a weight for each class; or "balanced":
        n / (classes · count) for n examples and the classes that occur in them.  For several labels
        per example "balanced" or a list of these, one per label; the weights of the labels of an
        example are multiplied, as in scikit-learn.
    dtype
        The dtype of the weights.

    Raises
    ------
    ValueError
        If the loss is not for classification, or the weights do not fit the classes.
    """
    if kind == "classes":
        indices = xp.argmax(targets, axis=-1) if targets.ndim == 2 else targets
        return _looked_up(xp, indices, outputs, class_weight, dtype)
    if kind != "labels":
        raise ValueError(
            f"class_weight is {class_weight!r}, but the loss compares numbers: it knows no classes"
        )
    columns = xp.reshape(targets, (targets.shape[0], outputs))
    columns = xp.astype(xp.astype(columns, dtype) >= 0.5, xp.int64)
    if isinstance(class_weight, str) or outputs == 1:
        class_weight = [class_weight] * outputs
    listed: Collection[object] = class_weight if isinstance(class_weight, Collection) else ()
    if isinstance(listed, Mapping) or len(listed) != outputs:
        raise ValueError(
            f"class_weight is {class_weight!r}, expected 'balanced' or a list of {outputs}, the "
            "weights of no and yes for each label"
        )
    weights = xp.ones((targets.shape[0],), dtype=dtype, device=device_of(targets))
    for output, of_label in enumerate(listed):
        factors = _looked_up(xp, columns[:, output], 2, of_label, dtype)
        weights = weights * factors
    return weights


def _looked_up(
    xp: Namespace, indices: Array, classes: int, class_weight: object, dtype: DType
) -> Array:
    """Return the weight of each class index in `indices` (examples,)."""
    text = isinstance(class_weight, str)
    if (text and class_weight != "balanced") or not isinstance(class_weight, Iterable):
        raise ValueError(
            f"class_weight is {class_weight!r}, expected 'balanced', a mapping or a sequence"
        )
    weights = _balanced(xp, indices, classes) if text else _listed(classes, class_weight)
    table = xp.asarray(weights, dtype=dtype, device=device_of(indices))
    return take_rows(xp, table, xp.astype(indices, xp.int64))


def _balanced(xp: Namespace, indices: Array, classes: int) -> list[float]:
    values, counts = xp.unique_counts(indices)
    present = values.shape[0]
    weights = [1.0] * classes  # a weight of a class that does not occur is not used
    for place in range(present):
        share = present * int(counts[place])
        weights[int(values[place])] = indices.shape[0] / share
    return weights


def _listed(classes: int, class_weight: Mapping[int, float] | Iterable[float]) -> list[float]:
    expected = f"class_weight is {class_weight!r}, expected {classes} finite numbers of at least 0"
    if isinstance(class_weight, Mapping):
        unknown = [key for key in class_weight if key not in range(classes)]
        if unknown:
            raise ValueError(
                f"class_weight has {unknown[0]!r}, expected classes from 0 to {classes - 1}"
            )
        numbers = [class_weight.get(index, 1.0) for index in range(classes)]
    else:
        numbers = list(class_weight)
    try:
        weights = [float(weight) for weight in numbers]
    except (TypeError, ValueError):
        raise ValueError(expected) from None
    if len(weights) != classes or not all(0.0 <= weight < math.inf for weight in weights):
        raise ValueError(expected)
    return weights
