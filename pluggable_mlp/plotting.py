"""Plots by matplotlib (extra `plot`), each on axes: losses, confusion matrix, residuals, weights.

As scikit-learn's displays do, each takes `ax`, makes new axes by default, and returns them.  The
figures of runs are made of these in `figures.py`.  Array arguments are of any library.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from array_api_compat import is_array_api_obj

from pluggable_mlp.backends import backend_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = [
    "label_epochs",
    "plot_confusion_matrix",
    "plot_losses",
    "plot_residuals",
    "plot_weights",
]

MOST_CLASSES_NUMBERED = 20
MOST_FEATURES_NAMED = 30


def plot_losses(fitted: Any, *, label: str | None = None, ax: "Axes | None" = None) -> "Axes":
    """Plot the loss of each epoch, dashed that of the held-out part, and return the axes.

    Parameters
    ----------
    fitted : Training, MLPClassifier, MLPRegressor or sequence of float
        The result of `train`, an estimator, or the losses themselves.
    label : str, optional
        Of these losses in the legend; by default "training loss".
    ax : matplotlib Axes, optional

    Raises
    ------
    TypeError
        If it has no losses of epochs, as an estimator that lbfgs fitted.
    """
    losses = getattr(fitted, "history", getattr(fitted, "loss_curve_", fitted))
    if np.ndim(losses) == 0 or len(losses) == 0:
        raise TypeError(
            f"fitted is {str(fitted)[:80]}, expected the result of train, an estimator that took "
            "epochs, or a list of losses"
        )
    ax = _axes(ax)
    epochs = range(1, len(losses) + 1)
    columns = np.reshape(np.asarray(losses, dtype=np.float64), (len(losses), -1))
    lines = ax.plot(epochs, columns, label=label or "training loss")
    validation = getattr(fitted, "validation_loss_curve_", None)
    if validation is not None:
        name = f"{label}, validation" if label else "validation loss"
        ax.plot(epochs, validation, "--", color=lines[0].get_color(), label=name)
    label_epochs(ax, "loss")
    ax.legend(fontsize="small")
    return ax


def label_epochs(ax: "Axes", ylabel: str) -> None:
    """Label axes whose x are epochs."""
    ax.set(xlabel="epoch", ylabel=ylabel)
    _count_along(ax.xaxis)
    ax.grid(alpha=0.3)


def plot_confusion_matrix(
    targets: Any,
    predictions: Any,
    *,
    labels: Sequence[Any] | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Plot how often each class (down) was taken for each other (across), and return the axes.

    Parameters
    ----------
    targets, predictions : array (examples,)
        Class labels: what is, and what was predicted.
    labels : sequence, optional
        All classes, in the order in which they are to be shown; by default those that occur.
    ax : matplotlib Axes, optional

    Raises
    ------
    ValueError
        If the lengths differ, or a label is not among the labels.
    """
    targets, predictions = _pair(targets, predictions)
    if labels is None:
        labels = np.unique(np.concatenate([targets, predictions])).tolist()
    place = {label: index for index, label in enumerate(labels)}
    if unknown := {*targets.tolist(), *predictions.tolist()}.difference(place):
        raise ValueError(f"{min(unknown, key=str)!r} is none of the labels {[*labels]}")
    count = len(labels)
    matrix = np.zeros((count, count), dtype=np.int64)
    places = [[place[label] for label in of.tolist()] for of in (targets, predictions)]
    np.add.at(matrix, tuple(places), 1)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    ax = _axes(ax)
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ax.figure.colorbar(image, ax=ax, label="share of the class")
    if count <= MOST_CLASSES_NUMBERED:
        _name_ticks(ax.xaxis, labels, upright=True)
        _name_ticks(ax.yaxis, labels)
        for row, column in np.argwhere(matrix).tolist():
            color = "white" if shares[row, column] > 0.5 else "black"
            text = str(matrix[row, column])
            ax.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
    ax.set(xlabel="predicted", ylabel="class")
    return ax


def plot_residuals(
    targets: Any, predictions: Any, *, name: str = "", ax: "Axes | None" = None
) -> "Axes":
    """Plot prediction - target over the prediction, and return the axes.

    Parameters
    ----------
    targets, predictions : array (examples,)
        The numbers of one output.
    name : str, default ""
        Of the output.
    ax : matplotlib Axes, optional

    Raises
    ------
    ValueError
        If the lengths differ.
    """
    targets, predictions = _pair(targets, predictions)
    ax = _axes(ax)
    ax.scatter(predictions, predictions - targets, s=8, alpha=0.6)
    ax.axhline(0.0, color="black", linewidth=0.8)
    ax.set(xlabel=f"predicted {name}".strip(), ylabel="predicted - true")
    ax.grid(alpha=0.3)
    return ax


def plot_weights(W: Any, *, feature_names: Sequence[str] = (), ax: "Axes | None" = None) -> "Axes":
    """Plot the weights of a layer, a row for each unit, and return the axes.

    Parameters
    ----------
    W : array (in, out)
        Such as `parameters[0]["W"]` or `estimator.coefs_[0]`.
    feature_names : sequence of str, default ()
        Of the inputs.
    ax : matplotlib Axes, optional
    """
    W, ax = _on_host(W), _axes(ax)
    limit = float(np.abs(W).max()) or 1.0
    image = ax.imshow(W.T, aspect="auto", cmap="RdBu", vmin=-limit, vmax=limit)
    ax.figure.colorbar(image, ax=ax)
    ax.set(xlabel="feature", ylabel="unit")
    _count_along(ax.xaxis)
    _count_along(ax.yaxis)
    if 0 < len(feature_names) <= MOST_FEATURES_NAMED:
        _name_ticks(ax.xaxis, feature_names, upright=True)
    return ax


def _count_along(axis: Any) -> None:
    """Put ticks at whole numbers alone."""
    axis.get_major_locator().set_params(integer=True)


def _name_ticks(axis: Any, names: Sequence[Any], *, upright: bool = False) -> None:
    """Put a name at each of 0, 1, …; upright where the names are long and stand side by side."""
    rotation = 90 if upright and max(len(str(name)) for name in names) > 3 else 0
    axis.set_ticks(range(len(names)), [str(name) for name in names], rotation=rotation)


def _axes(ax: "Axes | None") -> "Axes":
    """Return the axes, or new ones, which a notebook shows."""
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ModuleNotFoundError as error:
        raise ImportError(
            "plots need matplotlib, which is not installed; install it with: "
            "pip install 'pluggable-mlp[plot]'"
        ) from error
    return plt.subplots(layout="constrained")[1]


def _pair(targets: Any, predictions: Any) -> "tuple[NDArray[Any], NDArray[Any]]":
    """Return both on the host, (examples,); a column becomes flat."""
    t, y = (_on_host(of) for of in (targets, predictions))
    t, y = (of[:, 0] if of.ndim == 2 and of.shape[1] == 1 else of for of in (t, y))
    if t.ndim != 1 or t.shape != y.shape:
        raise ValueError(
            f"targets have the shape {t.shape} and predictions {y.shape}, expected (examples,) of "
            "both"
        )
    return t, y


def _on_host(data: Any) -> "NDArray[Any]":
    if is_array_api_obj(data) and not isinstance(data, np.ndarray | np.generic):
        array: NDArray[Any] = backend_of(data).to_numpy(data)
        return array
    return np.asarray(data)
