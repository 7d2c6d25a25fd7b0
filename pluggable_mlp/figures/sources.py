"""Sources of the numbers in figures: results of `train`, fitted estimators, runs."""

import math
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array, LibraryArrays
from pluggable_mlp.runs.predict import SavedRun, load_run
from pluggable_mlp.runs.saved import read_history
from pluggable_mlp.training.train import Training

LEAST_SIDE = 4
"""Features that form a smaller square are not shown as an image."""


def curves_of(source: object) -> dict[str, Array]:
    """Return losses and scores of each epoch, by name, of a training, an estimator or a run."""
    if isinstance(source, Training):
        return {"train_loss": source.history}
    if hasattr(source, "fit"):
        score = "accuracy" if hasattr(source, "classes_") else "r2"
        named_curves = {
            "train_loss": _fitted(source, "loss_curve_", "fit it by sgd or adam"),
            "validation_loss": getattr(source, "validation_loss_curve_", None),
            f"validation_{score}": getattr(source, "validation_scores_", None),
        }
        return {key: values for key, values in named_curves.items() if values is not None}
    folder = source.folder if isinstance(source, SavedRun) else _path(source)
    file = folder / "metrics.jsonl"
    lines = read_history(file)
    if not lines:
        raise ValueError(f"{file} has no epoch")
    curves = [key for key in lines[0] if key.startswith(("train_", "validation_"))]
    return {key: [line[key] for line in lines] for key in curves}


def first_layer_of(source: object) -> tuple[Array, Sequence[str] | None, tuple[int, int] | None]:
    """Return W (in, out) of the first dense layer, the names of its inputs, and their shape.

    They have a shape if they are a run's pixels, or unnamed, and their number is a square.
    """
    if isinstance(source, Training):
        return _first_matrix(source.parameters), None, None
    if hasattr(source, "fit"):
        W = _fitted(source, "coefs_", "fit it first")[0]
        return W, getattr(source, "feature_names_in_", None), None
    saved = opened(source)
    W, names = _first_matrix(saved.parameters), saved.preparation.feature_names
    side = math.isqrt(W.shape[0])
    is_square = side * side == W.shape[0] and side >= LEAST_SIDE
    is_image = is_square and (saved.preparation.scale is not None or not names)
    return W, names, (side, side) if is_image else None


def opened(run: object) -> SavedRun:
    """Return a run with its parameters; those in a folder are read into NumPy."""
    return run if isinstance(run, SavedRun) else load_run(_path(run))


def pairs_by_output(run: object, data: str | None) -> dict[str, tuple[Array, Array]]:
    """Return true and predicted values (examples,) on the test part of a regression, by output."""
    saved = opened(run)
    if saved.preparation.task != "regression":
        raise ValueError(f"the task of the run is {saved.preparation.task}, which has no residuals")
    values, targets = saved.answers_on_test_part(data)
    columns = (array.reshape(len(array), -1).T for array in (targets, values))
    return dict(zip(saved.preparation.target_names or (), zip(*columns, strict=True), strict=True))


def in_words(name: str) -> str:
    """Return the name of a setting or a measure for readers: "test R²" for "test_r2"."""
    return " ".join({"r2": "R²", "f1": "F1"}.get(word, word) for word in name.split("_"))


def tiles_of(W: Array, height: int, width: int) -> Array:
    """Return the images of units in rows side by side, with NaN between them."""
    units = W.shape[1]
    columns = math.isqrt(units - 1) + 1
    rows = -(-units // columns)
    tiles = np.full((rows * columns, height + 1, width + 1), np.nan)
    tiles[:units, :height, :width] = W.T.reshape(units, height, width)
    grid = tiles.reshape(rows, columns, height + 1, width + 1).swapaxes(1, 2)
    return grid.reshape(rows * (height + 1), columns * (width + 1))[:-1, :-1]


def _path(source: object) -> Path:
    """Return the folder of a run; TypeError if it is something else."""
    if not isinstance(source, str | PathLike):
        raise TypeError(
            f"source is {source!r:.80}, expected what train returns, a fitted estimator, a run or "
            "the folder of one"
        )
    return Path(source)


def _fitted(estimator: object, attribute: str, remedy: str) -> Any:
    """Return an attribute of a fitted estimator; TypeError if it has none, or an empty one."""
    value = getattr(estimator, attribute, None)
    if not value:
        raise TypeError(f"estimator is {str(estimator)[:80]}, without {attribute}: {remedy}")
    return value


def _first_matrix(parameters: LibraryArrays) -> Array:
    """Return W of the first dense layer: others may precede it."""
    for layer in parameters:
        if "W" in layer:
            return layer["W"]
    names = "; ".join(", ".join(layer) for layer in parameters)
    raise ValueError(f"parameters are {names}, expected those of a layer with W (in, out)")
