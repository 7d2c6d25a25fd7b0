"""Predictions beside the truth: the confusion matrix of classes, the residuals of numbers.

Shapes: X (examples, features), y_true and y_pred (examples,).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.figures.display import Display, name_ticks
from pluggable_mlp.figures.sources import (
    AnyRun,
    open_run,
    pair_on_host,
    predicted_test_part,
)
from pluggable_mlp.lazy import on_host
from pluggable_mlp.registry import choose

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

MOST_CLASSES_NUMBERED = 20


class _PredictionsDisplay(Display, ABC):
    """Predictions beside what is true."""

    @classmethod
    @abstractmethod
    def from_predictions(cls, y_true: Array, y_pred: Array, *, ax: "Axes | None" = None) -> Self:
        """Plot predictions (examples,) beside what is true."""

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Array, y: Array, *, ax: "Axes | None" = None
    ) -> Self:
        """Predict for X, and plot the predictions beside y."""
        return cls.from_predictions(y, estimator.predict(X), ax=ax)


class ConfusionMatrixDisplay(_PredictionsDisplay):
    """How often each class (down) was predicted as each other (across).

    The color is the share of the class; of up to 20 classes the counts are written.

    Parameters
    ----------
    confusion_matrix : array (classes, classes)
        Counts of examples, a row for each true class.
    display_labels : sequence, optional
        The classes; by default 0, 1, …

    Attributes
    ----------
    im_ : matplotlib AxesImage
    ax_, figure_ : matplotlib Axes and Figure

    Raises
    ------
    ValueError
        If the shapes do not fit.

    See Also
    --------
    sklearn.metrics.ConfusionMatrixDisplay

    Examples
    --------
    >>> from pluggable_mlp import ConfusionMatrixDisplay
    >>> display = ConfusionMatrixDisplay([[3, 1], [0, 2]], display_labels=["no", "yes"]).plot()
    >>> [label.get_text() for label in display.ax_.get_xticklabels()]
    ['no', 'yes']
    """

    def __init__(
        self, confusion_matrix: Array, *, display_labels: Sequence[Any] | None = None
    ) -> None:
        self.confusion_matrix = matrix = np.atleast_1d(on_host(confusion_matrix))
        self.display_labels = [*(range(len(matrix)) if display_labels is None else display_labels)]
        if matrix.shape != (len(self.display_labels),) * 2:
            raise ValueError(
                f"confusion_matrix has the shape {matrix.shape}, expected a row and a column for "
                f"each of the labels {self.display_labels}"
            )

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Plot the matrix, by default on the axes of a new figure, and return this display."""
        matrix, labels = self.confusion_matrix, self.display_labels
        shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        ax = self._take_axes(ax)
        self.im_ = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        ax.figure.colorbar(self.im_, ax=ax, label="share of the class")
        if len(labels) <= MOST_CLASSES_NUMBERED:
            name_ticks(ax.xaxis, labels, upright=True)
            name_ticks(ax.yaxis, labels)
            for row, column in np.argwhere(matrix).tolist():
                color = "white" if shares[row, column] > 0.5 else "black"
                text = str(matrix[row, column])
                ax.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
        ax.set(xlabel="predicted class", ylabel="true class")
        return self

    @classmethod
    def from_predictions(
        cls,
        y_true: Array,
        y_pred: Array,
        *,
        labels: Sequence[Any] | None = None,
        ax: "Axes | None" = None,
    ) -> Self:
        """Count predictions, and plot them.

        Parameters
        ----------
        y_true, y_pred : array (examples,)
            True and predicted class labels.
        labels : sequence, optional
            All classes, in the order to show; by default those that occur.
        ax : matplotlib Axes, optional

        Raises
        ------
        ValueError
            If the lengths differ, or a label is not among `labels`.
        """
        pair = pair_on_host(y_true, y_pred)
        if labels is None:
            labels = np.unique(np.concatenate(pair)).tolist()
        index = {label: k for k, label in enumerate(labels)}
        rows, columns = (of.tolist() for of in pair)
        if unknown := {*rows, *columns}.difference(index):
            raise ValueError(f"{min(unknown, key=str)!r} is none of the labels {[*labels]}")
        matrix = np.zeros((len(labels), len(labels)), dtype=np.int64)
        np.add.at(matrix, ([index[of] for of in rows], [index[of] for of in columns]), 1)
        return cls(matrix, display_labels=labels).plot(ax)

    @classmethod
    def from_run(cls, run: AnyRun, *, data: str | None = None, ax: "Axes | None" = None) -> Self:
        """Plot the predictions of a run for the test part of its data.

        Parameters
        ----------
        run : SavedRun, str or Path
            A classification: what `load_run` returns, or the folder of a run.
        data : str, optional
            Where its data are now; by default where they were.
        ax : matplotlib Axes, optional

        Raises
        ------
        ValueError, DataError
            If it has no classes or no test part, or its data are not there or have changed.
        """
        saved = open_run(run)
        labels = saved.preparation.class_labels
        if labels is None:
            raise ValueError(
                f"the task of the run is {saved.preparation.task}, which has no classes"
            )
        targets, probabilities = predicted_test_part(saved, data)
        names = np.asarray(labels, dtype=object)
        predicted = names[probabilities.argmax(axis=1)]
        return cls.from_predictions(names[targets], predicted, labels=labels, ax=ax)


class PredictionErrorDisplay(_PredictionsDisplay):
    """Residuals, true minus predicted values, over predicted values.

    Parameters
    ----------
    y_true, y_pred : array (examples,)
        True and predicted values of one output.

    Attributes
    ----------
    scatter_ : matplotlib PathCollection
    line_ : matplotlib Line2D
        Where a residual is 0.
    ax_, figure_ : matplotlib Axes and Figure

    Raises
    ------
    ValueError
        If the lengths differ, or there are several outputs.

    See Also
    --------
    sklearn.metrics.PredictionErrorDisplay

    Examples
    --------
    >>> from pluggable_mlp import PredictionErrorDisplay
    >>> display = PredictionErrorDisplay(y_true=[1.0, 2.0], y_pred=[1.5, 1.5]).plot()
    >>> display.scatter_.get_offsets().tolist()
    [[1.5, -0.5], [1.5, 0.5]]
    """

    def __init__(self, *, y_true: Array, y_pred: Array) -> None:
        pair = pair_on_host(y_true, y_pred)
        self.y_true, self.y_pred = (of.astype(np.float64) for of in pair)  # unsigned ones wrap

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Plot the residuals, by default on the axes of a new figure, and return this display."""
        ax = self._take_axes(ax)
        self.scatter_ = ax.scatter(self.y_pred, self.y_true - self.y_pred, s=8, alpha=0.6)
        self.line_ = ax.axhline(0.0, color="black", linewidth=0.8)
        ax.set(xlabel="predicted", ylabel="residual (true - predicted)")
        ax.grid(alpha=0.3)
        return self

    @classmethod
    def from_predictions(cls, y_true: Array, y_pred: Array, *, ax: "Axes | None" = None) -> Self:
        """Plot the residuals of predictions (examples,) of one output."""
        return cls(y_true=y_true, y_pred=y_pred).plot(ax)

    @classmethod
    def from_run(
        cls,
        run: AnyRun,
        *,
        output: str | None = None,
        data: str | None = None,
        ax: "Axes | None" = None,
    ) -> Self:
        """Plot the residuals of a run on the test part of its data.

        Parameters
        ----------
        run : SavedRun, str or Path
            A regression: what `load_run` returns, or the folder of a run.
        output : str, optional
            The name of the output, where there are several.
        data : str, optional
            Where its data are now; by default where they were.
        ax : matplotlib Axes, optional

        Raises
        ------
        ValueError, DataError
            If the task is not regression, there is no test part or no such output, or its data are
            not there or have changed.
        """
        pairs = pairs_by_output(run, data)
        if output is None and len(pairs) == 1:
            (output,) = pairs
        return cls.from_predictions(*choose(pairs, output or "", "output"), ax=ax)


def pairs_by_output(
    run: AnyRun, data: str | None
) -> "dict[str, tuple[NDArray[Any], NDArray[Any]]]":
    """Return true and predicted values (examples,) on the test part of a regression, by output."""
    saved = open_run(run)
    if saved.preparation.task != "regression":
        raise ValueError(f"the task of the run is {saved.preparation.task}, which has no residuals")
    targets, values = predicted_test_part(saved, data)
    columns = (of.reshape(len(of), -1).T for of in (targets, values))
    return dict(zip(saved.preparation.target_names or (), zip(*columns, strict=True), strict=True))
