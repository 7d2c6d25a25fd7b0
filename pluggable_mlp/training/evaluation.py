"""Predictions of a network, and how good they are: loss and measures from one forward pass.

`evaluate` measures after every epoch, on the device.  `measure` gives the scores at the end of a
run, by scikit-learn's names, computed on the host in integers and sums that are exact before
rounding: the same on every machine for the same predictions.

Shapes: z (examples, outputs); targets (examples,) or (examples, outputs); sample_weight
(examples,).
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pluggable_mlp import special
from pluggable_mlp.arrays import Array, Namespace, dtype_name, map_nested
from pluggable_mlp.arrays.executor import RunAll, at_once, one_by_one
from pluggable_mlp.arrays.shortcuts import backend_context
from pluggable_mlp.backends import Backend
from pluggable_mlp.distributed.communicators import Communicator
from pluggable_mlp.namespaces import namespace_of, run, unwrapped
from pluggable_mlp.namespaces.sharded.namespace import ShardedNamespace
from pluggable_mlp.network.loss import rows, shares, total_weight
from pluggable_mlp.network.losses import LOSSES
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.network.parameters import Parameters, map_arrays
from pluggable_mlp.training.examples import AnyExamples, Batch, Examples, moved_floats
from pluggable_mlp.training.losses import Loss, LossRecord
from pluggable_mlp.training.metrics import METRICS, roc_auc
from pluggable_mlp.training.sharding import blocks_of_process
from pluggable_mlp.training.streaming import blocks_in_order


class Outputs(NamedTuple):
    """The result of a forward pass over all examples.

    Attributes
    ----------
    xp
        The namespace of the arrays.
    loss : float, or list of float
        A list of each network's if parameters have leading axes.
    z, targets : array
    sample_weight : array or None
    """

    xp: Namespace
    loss: Loss
    z: Array
    targets: Array
    sample_weight: Array | None


class Counts(NamedTuple):
    """How many examples each class or label has, how many are predicted, and correctly so.

    Each holds a number for each class or label.
    """

    examples: list[int]
    predicted: list[int]
    right: list[int]

    def scores(self) -> list[tuple[float | None, float | None, float | None]]:
        """Return precision, recall and F1 of each class, None if they divide by 0."""
        rows = zip(*self, strict=True)
        return [
            (
                right / predicted if predicted else None,
                right / examples if examples else None,
                2 * right / (predicted + examples) if predicted + examples else None,
            )
            for examples, predicted, right in rows
        ]


def evaluate(
    mlp: MLP,
    parameters: Parameters,
    examples: AnyExamples,
    *,
    backend: Backend,
    arithmetic: str,
    units: Sequence[float] | None = None,
    metric: str | None = None,
    **how: Any,
) -> dict[str, float]:
    """Return `measures_of` the outputs for all examples, as `outputs_of` computes them."""
    outputs = outputs_of(mlp, parameters, examples, backend=backend, arithmetic=arithmetic, **how)
    return measures_of(mlp, outputs, backend, units, metric)


def outputs_of(
    mlp: MLP,
    parameters: Parameters,
    examples: AnyExamples,
    *,
    backend: Backend,
    arithmetic: str,
    batch_size: int = 1000,
    communicator: Communicator | None = None,
) -> Outputs:
    """Return the outputs and the mean loss over all examples, some at a time.

    With a communicator, each process computes its part of each batch and receives the others'
    outputs.
    """
    xp = namespace_of(arithmetic, backend)
    blocks = blocks_in_order(examples, batch_size)
    if communicator is not None:
        xp = ShardedNamespace(xp, communicator, backend)
        blocks = blocks_of_process(None, xp, None, examples, (1, 0), 1, batch_size)

    def whole(x: Array) -> Array:
        return x if communicator is None else xp.gathered(x)

    parameters = map_arrays(xp.asarray, parameters)
    record = LossRecord(xp, backend)
    logits: list[Array] = []
    targets: list[Array] = []
    weights: list[Array] = []
    for block in blocks:
        targets.append(whole(block.targets))
        if block.sample_weight is not None:
            weights.append(whole(block.sample_weight))
        components = mlp, dtype_name(block.dtype), block.scale
        for start in range(0, len(block), batch_size):
            rows = block.rows_of(xp, start, min(batch_size, len(block) - start))
            loss, weight, z = run(xp, _outputs_of_rows, components, parameters, rows)
            record.add(loss, z.shape[-2], weight)
            logits.append(whole(z))
    z, y, sample_weight = xp.concat(logits, axis=-2), _joined(xp, targets), _joined(xp, weights)
    return Outputs(xp, record.mean(), z, y, sample_weight)


def _joined(xp: Namespace, parts: list[Array]) -> Array | None:
    """Return the parts (batch, …) as one array; None for none."""
    return None if not parts else parts[0] if len(parts) == 1 else xp.concat(parts)


def measures_of(
    mlp: MLP,
    outputs: Outputs,
    backend: Backend,
    units: Sequence[float] | None = None,
    metric: str | None = None,
) -> dict[str, float]:
    """Return the loss and other measures of the network, as floats.

    "loss", and "accuracy" if the loss is for classes or labels (all labels of an example must be
    right), else "r2" and "mean_absolute_error", the latter in `units` of the outputs, by default
    1.  Examples count by their weights.  The measure of a metric in `METRICS` comes first.
    """
    name = None if metric is None else METRICS[metric].measure
    xp, loss, z, targets, sample_weight = outputs
    assert isinstance(loss, float)  # for a single network

    def average(loss_name: str, z: Array, targets: Array) -> float:
        return float(LOSSES[loss_name](xp, z, targets, sample_weight)[0])

    measured = {"loss": loss}
    correct_by_targets = {"classes": correct_predictions, "labels": correct_labels}
    if mlp.objective.targets in correct_by_targets:
        correct = correct_by_targets[mlp.objective.targets](xp, z, targets)
        measured["accuracy"] = _share(xp, correct, sample_weight, backend)
        if name == "log_loss":
            measured[name] = average("softmax_cross_entropy", z, targets)
        elif name == "roc_auc":
            p = mlp.objective.predict_proba(xp, z)  # type: ignore[attr-defined]
            arrays = map_nested(backend.to_numpy, unwrapped((p, targets, sample_weight)))
            measured[name] = roc_auc(*arrays)
    else:
        predictions = mlp.objective.predict(xp, z)
        measured["r2"] = float(r2(xp, predictions, targets, sample_weight))
        if units is not None:
            unit = xp.asarray(backend.asarray(list(units), dtype=dtype_name(z.dtype)))
            targets = rows(xp, targets, predictions) * unit
            predictions = predictions * unit
        measured["mean_absolute_error"] = average("absolute_error", predictions, targets)
        if name == "mean_squared_error":
            measured[name] = average("squared_error", predictions, targets)
    return measured if name is None else {name: measured[name]} | measured


def measure(
    mlp: MLP,
    parameters: Parameters,
    examples: AnyExamples,
    *,
    backend: Backend,
    arithmetic: str,
    units: Sequence[float] | None = None,
    metric: str | None = None,
) -> tuple[dict[str, float], Counts | None]:
    """Return the result of `evaluate`, plus macro_f1 for classes; macro_f1 and hamming_loss
    for labels, whose accuracy needs all labels right; root_mean_squared_error for numbers.

    Also return the counts by class or label, None for numbers.
    """
    outputs = outputs_of(mlp, parameters, examples, backend=backend, arithmetic=arithmetic)
    measured = measures_of(mlp, outputs, backend, units, metric)
    predictions = mlp.objective.predict(outputs.xp, outputs.z)
    predicted, targets = map_nested(backend.to_numpy, unwrapped((predictions, outputs.targets)))
    if mlp.objective.targets == "classes":
        counts = _of_classes(predicted, targets, int(outputs.z.shape[-1]))
        return measured | {"macro_f1": _mean_f1(counts)}, counts
    if mlp.objective.targets == "labels":
        scores, counts = _of_labels(predicted, targets)
        return measured | scores, counts
    return measured | _of_numbers(predicted, targets, units), None


def predict_rows(
    mlp: MLP,
    parameters: Parameters,
    rows: Array,
    method: str,
    *,
    backend: Backend,
    arithmetic: str,
    dtype: str,
    batch_size: int = 1000,
    scale: float = 1.0,
) -> Iterator[Array]:
    """Yield a network's "predict" or "predict_proba" for rows, a batch at a time.

    Rows (n, features), times the scale, and the results are on the host.  The backend determines
    how many batches are computed at once.
    """
    with backend_context(backend):
        xp = namespace_of(arithmetic, backend)
    compute = getattr(mlp, method)
    run_all: RunAll = getattr(backend, "run_all", one_by_one)

    def predicted(start: int) -> Array:
        with backend_context(backend):  # each thread has its own
            some = rows[start : start + batch_size] * scale
            inputs = xp.asarray(moved_floats(backend, some, dtype))
            x = unwrapped(xp.astype(inputs, getattr(xp, dtype), copy=False))
            return backend.to_numpy(compute(parameters, x, arithmetic=arithmetic))

    starts, some = range(0, rows.shape[0], batch_size), at_once(run_all)
    for first in range(0, len(starts), some):
        yield from run_all(predicted, starts[first : first + some])


def _share(xp: Namespace, correct: Array, sample_weight: Array | None, backend: Backend) -> float:
    """Return the share of the examples that are correct (examples,), by weight if there are any.

    Sums of weights are exact before rounding, so their order does not matter.
    """
    if sample_weight is None:
        return int(xp.sum(xp.astype(correct, xp.int64))) / int(correct.shape[0])
    is_correct, weights = map_nested(backend.to_numpy, unwrapped((correct, sample_weight)))
    return math.fsum(weights[is_correct].tolist()) / math.fsum(weights.tolist())


def _outputs_of_rows(
    xp: Namespace, mlp: MLP, dtype: str, scale: float | None, parameters: Parameters, rows: Batch
) -> tuple[Array, Array | None, Array]:
    examples = Examples(None, None, getattr(xp, dtype), scale)
    x, targets, sample_weight = examples.floats_of(xp, rows)
    z = mlp.evaluate(xp, parameters, x)
    loss, _ = mlp.objective(xp, z, targets, sample_weight)
    return loss, total_weight(xp, sample_weight), z


def _of_classes(predictions: Array, targets: Array, count: int) -> Counts:
    """Return the counts of predicted classes (n,) for classes (n,) or one-hot rows."""
    if targets.ndim == 2:
        targets = targets.argmax(axis=1)
    arrays = targets, predictions, targets[predictions == targets]
    counts = [Counter(classes.tolist()) for classes in arrays]
    return Counts(*([counter[k] for k in range(count)] for counter in counts))


def _of_labels(predictions: Array, targets: Array) -> tuple[dict[str, float], Counts]:
    """Return the scores of labels 0 and 1, (n, labels); targets may be (n,) for a single one."""
    yes, truth = predictions > 0, targets.reshape(predictions.shape) > 0.5
    counts = Counts(*(labels.sum(axis=0).tolist() for labels in (truth, yes, yes & truth)))
    wrong = int((yes != truth).sum()) / yes.size
    return {"hamming_loss": wrong, "macro_f1": _mean_f1(counts, absent=0.0)}, counts


def _of_numbers(
    predictions: Array, targets: Array, units: Sequence[float] | None = None
) -> dict[str, float]:
    """Return the scores of numbers (n, outputs); targets may be (n,) for a single output."""
    errors = [*(predictions.astype("float64") - targets.reshape(predictions.shape)).T]
    if units is not None:
        errors = [column * unit for column, unit in zip(errors, units, strict=True)]
    means = [math.fsum((column * column).tolist()) / len(column) for column in errors]
    return {"root_mean_squared_error": math.fsum(map(math.sqrt, means)) / len(means)}


def _mean_f1(counts: Counts, absent: float | None = None) -> float:
    """Return the mean F1; `absent` for a class that neither occurs nor is predicted."""
    scores = [absent if f1 is None else f1 for _, _, f1 in counts.scores()]
    counted = [score for score in scores if score is not None]
    return math.fsum(counted) / len(counted)


# Measures on the device: z, the outputs of the network, and predictions are (…, batch, outputs);
# targets are (…, batch) integers or rows (…, batch, outputs); a measure is (…), one number per
# network; correctness is (…, batch).


def correct_predictions(xp: Namespace, logits: Array, targets: Array) -> Array:
    """Return whether the largest logit of each example is that of its label: (…, batch)."""
    if targets.ndim == logits.ndim:
        targets = xp.argmax(targets, axis=-1)
    return xp.argmax(logits, axis=-1) == targets


def correct_labels(xp: Namespace, logits: Array, targets: Array) -> Array:
    """Return whether all labels of each example are right: (…, batch).

    A logit above 0, a probability above 1/2, means yes.  targets: (…, batch, outputs), or
    (…, batch) for one output.
    """
    right = (logits > 0.0) == (rows(xp, targets, logits) > 0.5)
    return xp.all(right, axis=-1)


def r2(
    xp: Namespace, predictions: Array, targets: Array, sample_weight: Array | None = None
) -> Array:
    """Return the mean over the outputs of R² = 1 - sum w (y - t)² / sum w (t - mean t)², (…).

    predictions y (…, batch, outputs); targets t likewise, or (…, batch) for one output;
    sample_weight w (…, batch), in the mean of t as well.  If all targets are equal, R² is 1 for
    perfect predictions and else 0, as in scikit-learn.
    """
    t = rows(xp, targets, predictions)
    if sample_weight is None:
        share, mean = None, xp.mean(t, axis=-2, keepdims=True)
    else:
        share = xp.expand_dims(shares(xp, sample_weight), axis=-1)
        mean = xp.sum(t * share, axis=-2, keepdims=True)
    residual = _sum_of_squares(xp, predictions - t, share)
    total = _sum_of_squares(xp, t - mean, share)
    varied = total != 0.0
    ratio = residual * (1.0 / xp.where(varied, total, 1.0))
    constant = xp.astype(residual != 0.0, t.dtype)
    return special.mean(xp, 1.0 - xp.where(varied, ratio, constant), axis=-1)


def _sum_of_squares(xp: Namespace, x: Array, share: Array | None) -> Array:
    squares = x * x
    return xp.sum(squares if share is None else squares * share, axis=-2)
