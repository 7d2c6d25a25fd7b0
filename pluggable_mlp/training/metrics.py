"""Metrics that choose the best epoch: their names, and the area under the ROC curve.

How the others are computed is in `evaluation.py`.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from pluggable_mlp.arrays import Array
from pluggable_mlp.fields import choose


class Metric(NamedTuple):
    """A measure of the validation part that is best in the epoch to keep.

    Attributes
    ----------
    measure : str
        Its name in the results of `evaluate`.
    tasks : tuple of str
        The tasks that have it.
    is_score : bool
        Whether larger is better.
    takes_probabilities : bool
        Whether it depends on probabilities, which label smoothing would spoil.
    """

    measure: str
    tasks: tuple[str, ...] = ("regression",)
    is_score: bool = False
    takes_probabilities: bool = False

    def error(self, measured: Mapping[str, float]) -> float:
        """Return the number that is smallest in the best epoch."""
        value = measured[self.measure]
        return 1.0 - value if self.is_score else value


_LOG_LOSS = Metric("log_loss", ("classification",), takes_probabilities=True)
_ROC_AUC = Metric("roc_auc", ("classification", "multilabel"), True, True)
METRICS = {
    "accuracy": Metric("accuracy", ("classification", "multilabel"), is_score=True),
    "log_loss": _LOG_LOSS,
    "roc_auc": _ROC_AUC,
    "squared_error": Metric("mean_squared_error"),
    "absolute_error": Metric("mean_absolute_error"),
    "neg_log_loss": _LOG_LOSS,
    "roc_auc_ovr": _ROC_AUC,
    "neg_mean_squared_error": Metric("mean_squared_error"),
    "neg_root_mean_squared_error": Metric("mean_squared_error"),
    "neg_mean_absolute_error": Metric("mean_absolute_error"),
}
"""By our names, then by those of scikit-learn that differ."""


def roc_auc(p: Array, truth: Array, weights: Array | None) -> float:
    """Return the area under the ROC curve of the second class; of several, the mean over all.

    Each class or label is compared with the rest; those that no example has, or all, are left
    out.  NaN if all are left out, or if a probability is NaN.

    Parameters
    ----------
    p : array (n, classes)
        Probabilities, on the host.
    truth : array (n,) or (n, classes)
        Classes, or rows with 1 for each class or label that an example has.
    weights : array (n,) or None
    """
    weights = [1.0] * len(p) if weights is None else weights.tolist()
    if truth.ndim == 2 or p.shape[1] == 1:
        columns = zip(p.T, truth.reshape(p.shape).T > 0.5, strict=True)
        areas = [_area(scores, is_one, weights) for scores, is_one in columns]
    else:
        classes = range(p.shape[1]) if p.shape[1] > 2 else [1]
        areas = [_area(p[:, k], truth == k, weights) for k in classes]
    usable = [area for area in areas if area is not None]
    return math.fsum(usable) / len(usable) if usable and not math.isnan(p.sum()) else math.nan


def check_metric(metric: str, task: str | None, targets: Array | None = None) -> None:
    """Raise ValueError if a metric is unknown, does not fit the task, or has no value for targets.

    The targets are those of the validation examples that count, on the host.
    """
    fitting = {name: one for name, one in METRICS.items() if task in (None, *one.tasks)}
    measure = choose(fitting, metric, "metric" if task is None else f"metric for {task}").measure
    if targets is not None and measure == "roc_auc" and (targets == targets[:1]).all():
        raise ValueError(
            f"metric is {metric!r}, and all validation examples whose weights count are of one "
            "class, expected two; give more (--validation, eval_set), or another --metric"
        )


def _area(p: Array, is_one: Array, weights: Sequence[float]) -> float | None:
    """Return the share of pairs (one, another) in the order of p (n,); ties count half."""
    rows = zip(p.tolist(), is_one.tolist(), weights, strict=True)
    area, below = 0.0, [0.0, 0.0]
    for _, ties in groupby(sorted(rows, key=itemgetter(0)), itemgetter(0)):
        tied = [0.0, 0.0]
        for _, is_true, weight in ties:
            tied[is_true] += weight
        area += tied[1] * (below[0] + 0.5 * tied[0])
        below = [total + more for total, more in zip(below, tied, strict=True)]
    return area / (below[0] * below[1]) if all(below) else None
