"""How good a network is on examples, by the names that scikit-learn gives: for the end of a run.

Computed on the host from what is predicted, in integers and sums that are exact before their
rounding: the same on every machine for the same predictions.  What is measured after every epoch
is said in `training/loop.py`.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.namespaces import namespace_of, run, unwrapped
from pluggable_mlp.network.mlp import MLP, Parameters
from pluggable_mlp.training.loop import evaluate
from pluggable_mlp.training.trees import map_arrays
from pluggable_mlp.training.visits import AnyExamples, blocks_in_order

__all__ = ["measure"]

_EXAMPLES_AT_ONCE = 1000


def measure(
    mlp: MLP,
    parameters: Parameters,
    examples: AnyExamples,
    *,
    backend: Any,
    arithmetic: str,
    units: Sequence[float] | None = None,
) -> dict[str, float]:
    """Return what `evaluate` does, and: of classes macro_f1; of labels hamming_loss and macro_f1,
    beside accuracy, of which all labels must be right; of numbers root_mean_squared_error.
    """
    own: dict[str, Any] = {"backend": backend, "arithmetic": arithmetic}
    measured = evaluate(mlp, parameters, examples, units=units, **own)
    kind = mlp.objective.targets
    scores: Callable[[Array, Array], dict[str, float]] = {
        "classes": _of_classes,
        "labels": _of_labels,
    }.get(kind, partial(_of_numbers, units=units))
    return measured | scores(*_predicted(mlp, parameters, examples, backend, arithmetic))


def _predicted(
    mlp: MLP, parameters: Parameters, examples: AnyExamples, backend: Any, arithmetic: str
) -> tuple[Array, Array]:
    """Return what is predicted, and the targets, both on the host."""
    xp = namespace_of(arithmetic, backend)
    known = map_arrays(xp.asarray, parameters)
    parts = []
    batches = (block.batches(xp, _EXAMPLES_AT_ONCE) for block in blocks_in_order(examples))
    for x, targets, _ in chain.from_iterable(batches):
        said = run(xp, _prediction, (mlp,), known, x)
        parts.append([backend.to_numpy(unwrapped(array)) for array in (said, targets)])
    said, targets = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return said, targets


def _prediction(xp: Namespace, mlp: MLP, parameters: Parameters, x: Array) -> Array:
    return mlp.objective.predict(xp, mlp.forward(xp, parameters, x)[0])


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
