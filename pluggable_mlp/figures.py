"""Figures of runs: learning curves, confusion matrix or residuals, the first layer's weights.

matplotlib draws them (extra `plot`), without a display.  Where they go is for `cli/plot.py`.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.predictions import answers_on_test_part
from pluggable_mlp.run_files import read_history
from pluggable_mlp.runs import SavedRun

__all__ = ["figures_of", "history_of", "learning_curves", "need_matplotlib"]

Figure = Any
MOST_IMAGES = 64
MOST_CLASSES_NUMBERED = 20
MOST_FEATURES_NAMED = 30


def history_of(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's metrics.jsonl; ValueError if there are none."""
    lines = read_history(folder / "metrics.jsonl")
    if not lines:
        raise ValueError(f"{folder / 'metrics.jsonl'} holds no epoch; train again")
    return lines


def figures_of(
    folder: Path, run: SavedRun, backend: Any, data: str | None = None
) -> dict[str, Figure]:
    """Return the figures of a run by their names.

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
    answers, targets = answers_on_test_part(run, backend, data)
    if run.schema.class_labels is not None:
        figures["confusion-matrix"] = _confusion_matrix(answers, targets, run.schema.class_labels)
    elif run.schema.task == "regression":
        figures["residuals"] = _residuals(answers, targets, run.schema.target_names or ())
    weights, schema = backend.to_numpy(run.parameters[0]["W"]), run.schema
    names = schema.preparation.names_of_features
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
        axis.set(xlabel="epoch", ylabel=title.replace("_", " "))
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
    axes[0].set_yscale("log" if _all_positive(histories) else "linear")
    axes[0].legend(fontsize="small")
    return figure


def _all_positive(histories: Mapping[str, Sequence[dict[str, Any]]]) -> bool:
    keys = ("train_loss", "validation_loss")
    return all(
        (line.get(key) or 1.0) > 0 for of in histories.values() for line in of for key in keys
    )


def _confusion_matrix(answers: Array, targets: Array, labels: Sequence[Any]) -> Figure:
    """Return how often each class (down) was taken for each other (across)."""
    count = len(labels)
    matrix = np.zeros((count, count), dtype=np.int64)
    np.add.at(matrix, (targets, answers.argmax(axis=1)), 1)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    figure = _figure(6.4, 5.6)
    axis = figure.subplots()
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, label="share of the class")
    if count <= MOST_CLASSES_NUMBERED:
        axis.set_xticks(range(count), labels, rotation=90 if _are_long(labels) else 0)
        axis.set_yticks(range(count), labels)
        for row, column in np.argwhere(matrix).tolist():
            color = "white" if shares[row, column] > 0.5 else "black"
            text = str(matrix[row, column])
            axis.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
    axis.set(xlabel="predicted", ylabel="class", title="test part")
    return figure


def _are_long(labels: Sequence[Any]) -> bool:
    return max(len(str(label)) for label in labels) > 3


def _residuals(answers: Array, targets: Array, names: Sequence[str]) -> Figure:
    """Return prediction - target over the prediction, for each output."""
    answers, truth = answers.reshape(len(answers), -1), targets.reshape(len(targets), -1)
    figure = _figure(5.0 * len(names), 4.2)
    for axis, name, y, t in zip(
        figure.subplots(1, len(names), squeeze=False)[0], names, answers.T, truth.T, strict=True
    ):
        axis.scatter(y, y - t, s=8, alpha=0.6)
        axis.axhline(0.0, color="black", linewidth=0.8)
        axis.set(xlabel=f"predicted {name}", ylabel="predicted - true", title="test part")
        axis.grid(alpha=0.3)
    return figure


def _first_layer(weights: Array, names: Sequence[str], are_pixels: bool) -> Figure:
    """Return W (features, units): an image for each unit where the features are a square.

    Names are those of the features, where they have any; only pixels make images then.
    """
    features, units = weights.shape
    side = math.isqrt(features)
    limit = float(np.abs(weights).max()) or 1.0
    colors = {"cmap": "RdBu", "vmin": -limit, "vmax": limit}
    if side * side != features or side < 4 or (names and not are_pixels):
        figure = _figure(6.4, 4.8)
        axis = figure.subplots()
        figure.colorbar(axis.imshow(weights.T, aspect="auto", **colors))
        axis.set(xlabel="feature", ylabel="unit", title="first layer's weights")
        for each in (axis.xaxis, axis.yaxis):
            each.get_major_locator().set_params(integer=True)
        if 0 < len(names) <= MOST_FEATURES_NAMED:
            axis.set_xticks(range(len(names)), names, rotation=90 if _are_long(names) else 0)
        return figure
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
