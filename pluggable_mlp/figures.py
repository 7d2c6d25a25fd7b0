"""Figures of runs: learning curves, confusion matrix or residuals, the first layer's weights.

matplotlib draws them (extra `plot`), without a display.  Where they go is for `cli/saved.py`.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.backends import Backend
from pluggable_mlp.plotting import (
    label_epochs,
    plot_confusion_matrix,
    plot_residuals,
    plot_weights,
)
from pluggable_mlp.runs.predict import answers_on_test_part
from pluggable_mlp.runs.saved import SavedRun, read_history

__all__ = ["figures_of", "history_of", "learning_curves", "need_matplotlib"]

Figure = Any
MOST_IMAGES = 64


def history_of(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's metrics.jsonl; ValueError if there are none."""
    lines = read_history(folder / "metrics.jsonl")
    if not lines:
        raise ValueError(f"{folder / 'metrics.jsonl'} holds no epoch; train again")
    return lines


def figures_of(
    folder: Path, run: SavedRun, backend: Backend, data: str | None = None
) -> dict[str, Figure]:
    """Return the figures of a run by their names; none of the test part where there is none.

    Parameters
    ----------
    folder : Path
        Of the run.
    run : SavedRun
    backend : Backend
    data : str, optional
        Where its data are now; by default where they were.

    Raises
    ------
    DataError
        If the data that it was trained on are not there any more, or have changed.
    """
    figures = {"learning-curves": learning_curves({folder.name: history_of(folder)})}
    schema = run.schema
    if run.settings.test_share != 0:
        answers, targets = answers_on_test_part(run, backend, data)
        if schema.class_labels is not None:
            figures["confusion-matrix"] = _confusion_matrix(answers, targets, schema.class_labels)
        elif schema.task == "regression":
            figures["residuals"] = _residuals(answers, targets, schema.target_names or ())
    weights = backend.to_numpy(run.parameters[0]["W"])
    names = schema.feature_names
    figures["first-layer"] = _first_layer(weights, names, are_pixels=schema.scale is not None)
    return figures


def learning_curves(histories: Mapping[str, Sequence[dict[str, Any]]]) -> Figure:
    """Return the losses, and the measure of the validation part, of one run or several."""
    measures = {key for lines in histories.values() for line in lines for key in line}
    shown = [key for key in ("validation_accuracy", "validation_r2") if key in measures]
    figure = _figure(6.4 * (1 + len(shown)), 4.2)
    axes = figure.subplots(1, 1 + len(shown), squeeze=False)[0]
    for number, (name, lines) in enumerate(histories.items()):
        prefix = f"{name}: " if len(histories) > 1 else ""
        epochs = [line["epoch"] for line in lines]
        for key, style in (("train_loss", "-"), ("validation_loss", "--")):
            values = [line.get(key) for line in lines]
            if any(value is not None for value in values):
                label = f"{prefix}{key.replace('_', ' ')}"
                axes[0].plot(epochs, values, style, color=f"C{number}", label=label)
        for axis, key in zip(axes[1:], shown, strict=True):
            if key in lines[0]:
                axis.plot(epochs, [line[key] for line in lines], color=f"C{number}", label=name)
    for axis, title in zip(axes, ["loss", *shown], strict=True):
        label_epochs(axis, title.replace("_", " "))
    axes[0].set_yscale("log" if _all_positive(histories) else "linear")
    axes[0].legend(fontsize="small")
    return figure


def _all_positive(histories: Mapping[str, Sequence[dict[str, Any]]]) -> bool:
    keys = ("train_loss", "validation_loss")
    return all(
        (line.get(key) or 1.0) > 0 for of in histories.values() for line in of for key in keys
    )


def _confusion_matrix(answers: Array, targets: Array, labels: Sequence[Any]) -> Figure:
    """Return the confusion matrix of the test part."""
    figure = _figure(6.4, 5.6)
    names = np.asarray(labels, dtype=object)
    predicted = names[answers.argmax(axis=1)]
    axis = plot_confusion_matrix(names[targets], predicted, labels=labels, ax=figure.subplots())
    axis.set_title("test part")
    return figure


def _residuals(answers: Array, targets: Array, names: Sequence[str]) -> Figure:
    """Return the residuals of the test part, for each output."""
    answers, truth = answers.reshape(len(answers), -1), targets.reshape(len(targets), -1)
    figure = _figure(5.0 * len(names), 4.2)
    axes = figure.subplots(1, len(names), squeeze=False)[0]
    for axis, name, y, t in zip(axes, names, answers.T, truth.T, strict=True):
        plot_residuals(t, y, name=name, ax=axis).set_title("test part")
    return figure


def _first_layer(weights: Array, names: Sequence[str], are_pixels: bool) -> Figure:
    """Return W (features, units): an image for each unit where the features are a square.

    Names are those of the features, where they have any; only pixels make images then.
    """
    features, units = weights.shape
    side = math.isqrt(features)
    if side * side != features or side < 4 or (names and not are_pixels):
        figure = _figure(6.4, 4.8)
        axis = plot_weights(weights, feature_names=names, ax=figure.subplots())
        axis.set_title("first layer's weights")
        return figure
    limit = float(np.abs(weights).max()) or 1.0
    colors = {"cmap": "RdBu", "vmin": -limit, "vmax": limit}
    shown = min(units, MOST_IMAGES)
    columns = min(16, shown)
    rows = -(-shown // columns)
    figure = _figure(0.6 * columns, 0.6 * rows + 0.4)
    for index, axis in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axis.set_axis_off()
        if index < shown:
            axis.imshow(weights[:, index].reshape(side, side), **colors)
    figure.suptitle(f"first layer's weights, {shown} of {units} units", fontsize=10)
    return figure


def need_matplotlib() -> None:
    """Raise ValueError if matplotlib, which draws the figures, is not installed."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise ValueError(
            "figures are drawn by matplotlib, which is not installed; "
            "python -m pip install 'pluggable-mlp[plot]'"
        ) from None


def _figure(width: float, height: float) -> Figure:
    """Return an empty figure that needs no display."""
    from matplotlib.figure import Figure as MatplotlibFigure

    return MatplotlibFigure(figsize=(min(width, 24.0), height), layout="constrained")
