"""How good a network is on examples, by the names that scikit-learn gives: for the end of a run.

Computed on the host from what is predicted, in integers and sums that are exact before their
rounding: the same on every machine for the same predictions.  What is measured after every epoch
is in `training/evaluation.py`.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.backends import Backend
from pluggable_mlp.namespaces import unwrapped
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.network.passes import Parameters
from pluggable_mlp.training.evaluation import measures_of, outputs_of
from pluggable_mlp.training.examples import AnyExamples


class Counts(NamedTuple):
    """How many examples each class or label has, how many are predicted so, and rightly.

    Each is an array of integers (classes,).
    """

    examples: Array
    predicted: Array
    right: Array

    def scores(self) -> list[tuple[float | None, float | None, float | None]]:
        """Return precision, recall and F1 of each class, None where they divide by 0."""
        rows = zip(*(counts.tolist() for counts in self), strict=True)
        return [
            (
                right / predicted if predicted else None,
                right / examples if examples else None,
                2 * right / (predicted + examples) if predicted + examples else None,
            )
            for examples, predicted, right in rows
        ]


def measure(
    mlp: MLP, parameters: Parameters, examples: AnyExamples, **how: Any
) -> dict[str, float]:
    """Return the scores alone of `measure_classes`, whose arguments it takes."""
    return measure_classes(mlp, parameters, examples, **how)[0]


def measure_classes(
    mlp: MLP,
    parameters: Parameters,
    examples: AnyExamples,
    *,
    backend: Backend,
    arithmetic: str,
    units: Sequence[float] | None = None,
) -> tuple[dict[str, float], Counts | None]:
    """Return what `evaluate` does, and: of classes macro_f1; of labels hamming_loss and macro_f1,
    beside accuracy, of which all labels must be right; of numbers root_mean_squared_error.

    Beside them the counts of each class or label, None of numbers.
    """
    outputs = outputs_of(
        mlp,
        parameters,
        examples,
        backend=backend,
        arithmetic=arithmetic,
    )
    measured = measures_of(mlp, outputs, backend, units)
    predictions = mlp.objective.predict(outputs.xp, outputs.z)
    said, targets = (backend.to_numpy(unwrapped(array)) for array in (predictions, outputs.targets))
    if mlp.objective.targets == "classes":
        counts = _of_classes(said, targets, int(outputs.z.shape[-1]))
        return measured | {"macro_f1": _mean_f1(counts)}, counts
    if mlp.objective.targets == "labels":
        scores, counts = _of_labels(said, targets)
        return measured | scores, counts
    return measured | _of_numbers(said, targets, units), None


def _of_classes(said: Array, targets: Array, count: int) -> Counts:
    """Return the counts of predicted classes (n,) for classes (n,) or one-hot rows."""
    if targets.ndim == 2:
        targets = targets.argmax(axis=1)
    counted = (targets, said, targets[said == targets])
    return Counts(*(np.bincount(classes, minlength=count) for classes in counted))


def _of_labels(said: Array, targets: Array) -> tuple[dict[str, float], Counts]:
    """Return the scores of labels of 0 and 1, (n, labels), or targets (n,) of a single one."""
    yes, truth = said > 0, targets.reshape(said.shape) > 0.5
    counts = Counts(*(labels.sum(axis=0) for labels in (truth, yes, yes & truth)))
    wrong = int((yes != truth).sum()) / yes.size
    return {"hamming_loss": wrong, "macro_f1": _mean_f1(counts, absent=0.0)}, counts


def _of_numbers(
    said: Array, targets: Array, units: Sequence[float] | None = None
) -> dict[str, float]:
    """Return the scores of numbers (n, outputs) for such, or for (n,) of a single output."""
    errors = said.astype(np.float64) - targets.reshape(said.shape)
    if units is not None:
        errors = errors * np.asarray(units)
    means = [math.fsum((column * column).tolist()) / len(column) for column in errors.T]
    return {"root_mean_squared_error": math.fsum(map(math.sqrt, means)) / len(means)}


def _mean_f1(counts: Counts, absent: float | None = None) -> float:
    """Return the mean F1; `absent` for what neither occurs nor is predicted."""
    scores = [absent if f1 is None else f1 for _, _, f1 in counts.scores()]
    counted = [score for score in scores if score is not None]
    return math.fsum(counted) / len(counted)
