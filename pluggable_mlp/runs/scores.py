"""How good a network is on examples, by the names that scikit-learn gives: for the end of a run.

Computed on the host from what is predicted, in integers and sums that are exact before their
rounding: the same on every machine for the same predictions.  What is measured after every epoch
is in `training/evaluation.py`.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.backends import Backend
from pluggable_mlp.distributed import Communicator
from pluggable_mlp.namespaces import unwrapped
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.network.passes import Parameters
from pluggable_mlp.training.evaluation import measures_of, outputs_of
from pluggable_mlp.training.examples import AnyExamples


def measure(
    mlp: MLP,
    parameters: Parameters,
    examples: AnyExamples,
    *,
    backend: Backend,
    arithmetic: str,
    units: Sequence[float] | None = None,
    communicator: Communicator | None = None,
) -> dict[str, float]:
    """Return what `evaluate` does, and: of classes macro_f1; of labels hamming_loss and macro_f1,
    beside accuracy, of which all labels must be right; of numbers root_mean_squared_error.
    """
    outputs = outputs_of(
        mlp,
        parameters,
        examples,
        backend=backend,
        arithmetic=arithmetic,
        communicator=communicator,
    )
    measured = measures_of(mlp, outputs, backend, units)
    predictions = mlp.objective.predict(outputs.xp, outputs.z)
    said, targets = (backend.to_numpy(unwrapped(array)) for array in (predictions, outputs.targets))
    scores: Callable[[Array, Array], dict[str, float]] = {
        "classes": _of_classes,
        "labels": _of_labels,
    }.get(mlp.objective.targets, partial(_of_numbers, units=units))
    return measured | scores(said, targets)


def _of_classes(said: Array, targets: Array) -> dict[str, float]:
    """Return the scores of predicted classes (n,) for classes (n,) or one-hot rows."""
    if targets.ndim == 2:
        targets = targets.argmax(axis=1)
    count = int(max(said.max(), targets.max())) + 1
    right = np.bincount(targets[said == targets], minlength=count)
    both = np.bincount(said, minlength=count) + np.bincount(targets, minlength=count)
    return {"macro_f1": _mean_f1(right, both)}


def _of_labels(said: Array, targets: Array) -> dict[str, float]:
    """Return the scores of labels of 0 and 1, (n, labels), or targets (n,) of a single one."""
    yes, truth = said > 0, targets.reshape(said.shape) > 0.5
    both = yes.sum(axis=0) + truth.sum(axis=0)
    f1 = _mean_f1((yes & truth).sum(axis=0), both, absent=0.0)
    return {"hamming_loss": int((yes != truth).sum()) / yes.size, "macro_f1": f1}


def _of_numbers(
    said: Array, targets: Array, units: Sequence[float] | None = None
) -> dict[str, float]:
    """Return the scores of numbers (n, outputs) for such, or for (n,) of a single output."""
    errors = said.astype(np.float64) - targets.reshape(said.shape)
    if units is not None:
        errors = errors * np.asarray(units)
    means = [math.fsum((column * column).tolist()) / len(column) for column in errors.T]
    return {"root_mean_squared_error": math.fsum(map(math.sqrt, means)) / len(means)}


def _mean_f1(right: Array, both: Array, absent: float | None = None) -> float:
    """Return the mean of 2 right / both; `absent` for what neither occurs nor is predicted."""
    pairs = zip(right.tolist(), both.tolist(), strict=True)
    scores = [2 * hits / total if total else absent for hits, total in pairs]
    counted = [score for score in scores if score is not None]
    return math.fsum(counted) / len(counted)
