"""The displays: training curves, confusion matrix, residuals and weights; and what they show.

Shapes: X (examples, features), y_true and y_pred (examples,), W (in, out).
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import sklearn.metrics
from numpy.typing import NDArray

from pluggable_mlp.arrays import Array, LibraryArrays
from pluggable_mlp.fields import choose, pluralize, require
from pluggable_mlp.host.lazy import on_host
from pluggable_mlp.runs.predict import SavedRun, load_run
from pluggable_mlp.runs.saved import read_history
from pluggable_mlp.training.train import Training

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D

MOST_CLASSES_NUMBERED = 20
MOST_FEATURES_NAMED = 30
MOST_IMAGES = 64


class _Display:
    """The axes that something was last drawn on."""

    ax_: "Axes"
    figure_: "Figure | SubFigure"

    def _take_axes(self, ax: "Axes | None") -> "Axes":
        """Keep the axes, by default those of a new figure, and return them."""
        if ax is None:
            require("matplotlib", "plot", "drawing figures")
            import matplotlib.pyplot as plt  # a notebook shows its figures, and so does plt.show()

            ax = plt.subplots(layout="constrained")[1]
        self.ax_, self.figure_ = ax, ax.figure
        return ax


class TrainingCurveDisplay(_Display):
    """Loss, or a score, after each epoch; curves of the validation part are dashed.

    Parameters
    ----------
    history : mapping of str to array (epochs,) or (epochs, networks)
        The curves by name: "train_loss", "validation_loss", "validation_accuracy" and the like.
    name : str, optional
        The name of the training, for the legend.

    Attributes
    ----------
    metrics : list of str
        The metrics that have curves: "loss", "accuracy", …
    lines_ : list of matplotlib Line2D

    See Also
    --------
    sklearn.model_selection.LearningCurveDisplay

    Examples
    --------
    >>> from pluggable_mlp import TrainingCurveDisplay
    >>> history = {"train_loss": [2.0, 1.0], "validation_loss": [2.0, 1.5]}
    >>> display = TrainingCurveDisplay(history).plot()
    >>> display.metrics
    ['loss']
    """

    def __init__(self, history: Mapping[str, Array], *, name: str | None = None) -> None:
        curves = {
            key: np.asarray(on_host(curve), dtype=np.float64) for key, curve in history.items()
        }
        if not curves or not all(curve.ndim and len(curve) for curve in curves.values()):
            raise ValueError(f"history is {dict(history)!r:.80}, expected curves of epochs")
        self.history: dict[str, NDArray[np.float64]] = curves
        self.name: str | None = name
        self.metrics: list[str] = [*dict.fromkeys(key.partition("_")[2] for key in curves)]

    def plot(
        self, ax: "Axes | None" = None, *, metric: str = "loss", color: str | None = None
    ) -> Self:
        """Plot the curves of a metric, one of `metrics`, and return this display."""
        choose(dict.fromkeys(self.metrics), metric, "metric")
        ax = self._take_axes(ax)
        words = in_words(metric)
        self.lines_: list[Line2D] = []
        style: dict[str, Any] = {} if color is None else {"color": color}
        for part, dashes in (("train", "-"), ("validation", "--")):
            values = self.history.get(f"{part}_{metric}")
            if values is None:
                continue
            columns, epochs = values.reshape(len(values), -1), range(1, len(values) + 1)
            label = f"{self.name}: {part} {words}" if self.name else f"{part} {words}"
            lines = ax.plot(epochs, columns, dashes, label=label, **style)
            for line in lines[1:]:
                line.set_label("_")  # the legend has one line for a stack of networks
            style["color"] = lines[0].get_color()
            self.lines_ += lines
        ax.set(xlabel="epoch", ylabel=words)
        _put_ticks_at_integers(ax.xaxis)
        ax.grid(alpha=0.3)
        ax.legend(fontsize="small")
        return self

    @classmethod
    def from_training(
        cls,
        source: object,
        *,
        metric: str = "loss",
        name: str | None = None,
        ax: "Axes | None" = None,
    ) -> Self:
        """Plot the curves of a result of `train`, of an estimator, or of a run or its folder.

        An estimator, of this package or of scikit-learn, must be fitted by sgd or adam; a run may
        still be training.  `metric` may be one of the validation part, such as "accuracy" or "r2".
        """
        return cls(curves_of(source), name=name).plot(ax, metric=metric)

    from_estimator = from_training
    from_run = from_training


class ConfusionMatrixDisplay(sklearn.metrics.ConfusionMatrixDisplay):
    """scikit-learn's display of how often each class was predicted as each, for runs and any array.

    Parameters
    ----------
    confusion_matrix : numpy.ndarray (classes, classes)
        Counts of examples, a row for each true class.
    display_labels : sequence, optional
        The classes; by default their numbers, from 0.

    See Also
    --------
    sklearn.metrics.ConfusionMatrixDisplay

    Examples
    --------
    >>> from pluggable_mlp import ConfusionMatrixDisplay
    >>> display = ConfusionMatrixDisplay.from_predictions(["no", "yes"], ["no", "no"])
    >>> display.confusion_matrix.tolist()
    [[1, 0], [1, 0]]
    """

    @classmethod
    def from_predictions(cls, y_true: Array, y_pred: Array, **options: Any) -> Any:
        """Count predictions, and plot them as scikit-learn's display does, with its options."""
        return super().from_predictions(on_host(y_true), on_host(y_pred), **options)

    @classmethod
    def from_run(cls, run: object, *, data: str | None = None, **options: Any) -> Any:
        """Plot the predictions of a run, or of its folder, for the test part of its data.

        The numbers of more than 20 classes are not written.
        """
        saved = open_run(run)
        labels = saved.preparation.class_labels
        if labels is None:
            task = saved.preparation.task
            raise ValueError(f"the task of the run is {task}, which has no classes")
        probabilities, targets = saved.answers_on_test_part(data)
        names = np.asarray(labels)
        options = {
            "labels": names,
            "include_values": len(labels) <= MOST_CLASSES_NUMBERED,
            "xticks_rotation": _rotation([*map(str, labels)]),
        } | options
        return cls.from_predictions(names[targets], names[probabilities.argmax(axis=1)], **options)


class PredictionErrorDisplay(sklearn.metrics.PredictionErrorDisplay):
    """scikit-learn's display of residuals over predicted values, for runs and any array.

    Parameters
    ----------
    y_true, y_pred : array (examples,)
        True and predicted values of one output.

    See Also
    --------
    sklearn.metrics.PredictionErrorDisplay

    Examples
    --------
    >>> from pluggable_mlp import PredictionErrorDisplay
    >>> display = PredictionErrorDisplay.from_predictions([1.0, 2.0], [1.5, 1.5])
    >>> display.scatter_.get_offsets().tolist()
    [[1.5, -0.5], [1.5, 0.5]]
    """

    @classmethod
    def from_predictions(
        cls, y_true: Array, y_pred: Array, *, subsample: float | None = None, **options: Any
    ) -> Any:
        """Plot predictions as scikit-learn's display does, by default all of them."""
        pair = (np.ravel(on_host(y)).astype(np.float64) for y in (y_true, y_pred))  # unsigned wrap
        return super().from_predictions(*pair, subsample=subsample, **options)

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, subsample: float | None = None, **options: Any
    ) -> Any:
        """Plot the predictions of an estimator in the same way."""
        return super().from_estimator(estimator, X, y, subsample=subsample, **options)

    @classmethod
    def from_run(
        cls, run: object, *, output: str | None = None, data: str | None = None, **options: Any
    ) -> Any:
        """Plot the residuals of a run, or of its folder, on the test part of its data."""
        pairs = pairs_by_output(run, data)
        if output is None and len(pairs) == 1:
            (output,) = pairs
        return cls.from_predictions(*choose(pairs, output or "", "output"), **options)


class WeightsDisplay(_Display):
    """The weights of a layer: a row for each unit, or an image for each of the first 64 units.

    Parameters
    ----------
    W : array (in, out)
        The weights of a dense layer, such as `estimator.coefs_[1]`.
    feature_names : sequence of str, optional
        The names of the inputs; up to 30 are shown.
    image_shape : tuple of two ints, optional
        Height and width, if the inputs are the pixels of an image.

    Attributes
    ----------
    im_ : matplotlib AxesImage

    See Also
    --------
    TrainingCurveDisplay

    Examples
    --------
    >>> import numpy as np
    >>> from pluggable_mlp import WeightsDisplay
    >>> display = WeightsDisplay(np.eye(4), image_shape=(2, 2)).plot()
    """

    def __init__(
        self,
        W: Array,
        *,
        feature_names: Sequence[str] | None = None,
        image_shape: tuple[int, int] | None = None,
    ) -> None:
        self.W: Array = on_host(W)
        self.image_shape: tuple[int, int] | None = image_shape
        if self.W.ndim != 2:
            raise ValueError(f"W has the shape {self.W.shape}, expected (in, out) of one network")
        features = len(self.W)
        self.feature_names: list[str] = [] if feature_names is None else [*feature_names]
        if self.feature_names and len(self.feature_names) != features:
            raise ValueError(f"feature_names are {self.feature_names}, expected {features} names")
        if image_shape is not None and math.prod(image_shape) != features:
            raise ValueError(f"image_shape is {image_shape}, expected that of {features} pixels")

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Plot the weights, by default on the axes of a new figure, and return this display."""
        ax = self._take_axes(ax)
        limit, names = float(np.abs(self.W).max()) or 1.0, self.feature_names
        colors: dict[str, Any] = {"cmap": "RdBu", "vmin": -limit, "vmax": limit}
        if self.image_shape is not None:
            self.im_: AxesImage = ax.imshow(
                _tiles_of(self.W[:, :MOST_IMAGES], *self.image_shape),
                interpolation="nearest",
                **colors,
            )
            units = self.W.shape[1]
            ax.set_axis_off()
            ax.set_title(f"{min(units, MOST_IMAGES)} of {units} units")
        else:
            self.im_ = ax.imshow(self.W.T, aspect="auto", interpolation="nearest", **colors)
            ax.set(xlabel="feature", ylabel="unit")
            _put_ticks_at_integers(ax.xaxis, ax.yaxis)
            if 0 < len(names) <= MOST_FEATURES_NAMED:
                ax.set_xticks(range(len(names)), names, rotation=_rotation(names))
        ax.figure.colorbar(self.im_, ax=ax)
        return self

    @classmethod
    def from_training(
        cls,
        source: object,
        *,
        image_shape: tuple[int, int] | None = None,
        ax: "Axes | None" = None,
    ) -> Self:
        """Plot the first dense layer of a result of `train`, of a fitted estimator, or of a run.

        The weights of a run's pixels are shown as images if their number is a square.
        """
        W, names, side = first_layer_of(source)
        return cls(W, feature_names=names, image_shape=image_shape or side).plot(ax)

    from_estimator = from_training
    from_run = from_training


def _put_ticks_at_integers(*axes: "Axis") -> None:
    from matplotlib.ticker import MaxNLocator

    for axis in axes:
        axis.set_major_locator(MaxNLocator(integer=True))


def _rotation(names: Sequence[str]) -> int:
    """Return the angle of tick labels: upright if they would be too long side by side."""
    return 90 if max(map(len, names)) > 3 else 0


def curves_of(source: Any) -> dict[str, Array]:
    """Return losses and scores of each epoch, by name, of a training, an estimator or a run."""
    if isinstance(source, Training):
        return {"train_loss": source.history}
    if hasattr(source, "fit"):
        if not getattr(source, "loss_curve_", None):
            raise TypeError(f"estimator is {source!s:.80}, without losses: fit it by sgd or adam")
        score = "accuracy" if hasattr(source, "classes_") else "r2"
        named_curves = {
            "train_loss": source.loss_curve_,
            "validation_loss": getattr(source, "validation_loss_curve_", None),
            f"validation_{score}": getattr(source, "validation_scores_", None),
        }
        return {key: values for key, values in named_curves.items() if values is not None}
    file = Path(getattr(source, "folder", source)) / "metrics.jsonl"
    lines = read_history(file)
    least = source.summary["kept_epoch"] if isinstance(source, SavedRun) else 1
    if len(lines) < least:
        raise ValueError(f"{file} has {pluralize(len(lines), 'epoch')}, expected {least} or more")
    curves = [key for key in lines[0] if key.startswith(("train_", "validation_"))]
    return {key: [line[key] for line in lines] for key in curves}


def first_layer_of(source: Any) -> tuple[Array, Sequence[str] | None, tuple[int, int] | None]:
    """Return W (in, out) of the first dense layer, the names of its inputs, and their shape.

    A run's pixels have a shape if their number is a square.
    """
    if isinstance(source, Training):
        return _first_matrix(source.parameters), None, None
    if hasattr(source, "fit"):
        return source.coefs_[0], getattr(source, "feature_names_in_", None), None
    saved = open_run(source)
    W, names = _first_matrix(saved.parameters), saved.preparation.feature_names
    side = math.isqrt(len(W))
    is_image = saved.preparation.scale is not None and side * side == len(W)
    return W, names, (side, side) if is_image else None


def open_run(run: Any) -> SavedRun:
    """Return a run with its parameters; those in a folder are read into NumPy."""
    return run if isinstance(run, SavedRun) else load_run(run)


def pairs_by_output(run: object, data: str | None) -> dict[str, tuple[Array, Array]]:
    """Return true and predicted values (examples,) on the test part of a regression, by output."""
    saved = open_run(run)
    if saved.preparation.task != "regression":
        raise ValueError(f"the task of the run is {saved.preparation.task}, which has no residuals")
    values, targets = saved.answers_on_test_part(data)
    columns = (array.reshape(len(array), -1).T for array in (targets, values))
    return dict(zip(saved.preparation.target_names or (), zip(*columns, strict=True), strict=True))


def in_words(name: str) -> str:
    """Return the name of a setting or a measure for readers: "test R²" for "test_r2"."""
    return " ".join({"r2": "R²", "f1": "F1"}.get(word, word) for word in name.split("_"))


def _tiles_of(W: Array, height: int, width: int) -> Array:
    """Return the images of units in rows side by side, with NaN between them."""
    units = W.shape[1]
    columns = math.isqrt(units - 1) + 1
    rows = -(-units // columns)
    tiles = np.full((rows * columns, height + 1, width + 1), np.nan)
    tiles[:units, :height, :width] = W.T.reshape(units, height, width)
    grid = tiles.reshape(rows, columns, height + 1, width + 1).swapaxes(1, 2)
    return grid.reshape(rows * (height + 1), columns * (width + 1))[:-1, :-1]


def _first_matrix(parameters: LibraryArrays) -> Array:
    """Return W of the first dense layer: others may precede it."""
    for layer in parameters:
        if "W" in layer:
            return layer["W"]
    raise ValueError("the network has no layer with weights W (in, out)")
