"""Training curves: loss and scores after each epoch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.figures.display import Display, in_words, integer_ticks
from pluggable_mlp.figures.sources import AnyRun, fitted, history_of
from pluggable_mlp.lazy import on_host
from pluggable_mlp.registry import choose
from pluggable_mlp.training.train import Training

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D


class TrainingCurveDisplay(Display):
    """Loss, or a score, after each epoch; that of the validation part is dashed.

    Parameters
    ----------
    history : mapping of str to array (epochs,) or (epochs, networks)
        The curves by name: "train_loss", "validation_loss", "validation_accuracy" and the like.
    name : str, optional
        Of the training, for the legend.

    Attributes
    ----------
    metrics : list of str
        What there are curves of: "loss", "accuracy", …
    lines_ : list of matplotlib Line2D
    ax_, figure_ : matplotlib Axes and Figure

    Raises
    ------
    ValueError
        If a curve has no epoch.

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

    lines_: "list[Line2D]"

    def __init__(self, history: Mapping[str, Array], *, name: str | None = None) -> None:
        curves = {key: np.asarray(on_host(of), dtype=np.float64) for key, of in history.items()}
        if not curves or not all(of.ndim and len(of) for of in curves.values()):
            raise ValueError(f"history is {dict(history)!r:.80}, expected curves of epochs")
        self.history, self.name = curves, name
        self.metrics = [*dict.fromkeys(key.partition("_")[2] for key in curves)]

    def plot(
        self, ax: "Axes | None" = None, *, metric: str = "loss", color: str | None = None
    ) -> Self:
        """Plot the curves of a metric.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            By default those of a new figure.
        metric : str, default "loss"
            One of `metrics`.
        color : str, optional
            Of the lines; by default the next color of the axes.

        Returns
        -------
        TrainingCurveDisplay
            This one.
        """
        choose(dict.fromkeys(self.metrics), metric, "metric")
        ax = self._take_axes(ax)
        words, self.lines_ = in_words(metric), []
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
        integer_ticks(ax.xaxis)
        ax.grid(alpha=0.3)
        ax.legend(fontsize="small")
        return self

    @classmethod
    def from_training(
        cls, training: Training, *, name: str | None = None, ax: "Axes | None" = None
    ) -> Self:
        """Plot the losses of what `train` returned: see `plot`."""
        if not isinstance(training, Training):
            raise TypeError(f"training is {training!r:.80}, expected what train returns")
        return cls({"train_loss": training.history}, name=name).plot(ax)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        metric: str = "loss",
        name: str | None = None,
        ax: "Axes | None" = None,
    ) -> Self:
        """Plot the curves of a fitted estimator.

        Parameters
        ----------
        estimator : MLPClassifier or MLPRegressor
            Of this package or of scikit-learn.
        metric : str, default "loss"
            Or of a classifier with early stopping "accuracy", of a regressor "r2".
        name : str, optional
            Of the training, for the legend.
        ax : matplotlib Axes, optional

        Raises
        ------
        TypeError
            If it took no epochs: it is not fitted, or by lbfgs.
        """
        score = "accuracy" if hasattr(estimator, "classes_") else "r2"
        curves = {
            "train_loss": fitted(estimator, "loss_curve_", "fit it by sgd or adam"),
            "validation_loss": getattr(estimator, "validation_loss_curve_", None),
            f"validation_{score}": getattr(estimator, "validation_scores_", None),
        }
        history = {key: values for key, values in curves.items() if values is not None}
        return cls(history, name=name).plot(ax, metric=metric)

    @classmethod
    def from_run(
        cls,
        run: AnyRun,
        *,
        metric: str = "loss",
        name: str | None = None,
        ax: "Axes | None" = None,
    ) -> Self:
        """Plot the curves of a run, which may still be training.

        Parameters
        ----------
        run : SavedRun, str or Path
            What `load_run` returns, or the folder of a run.
        metric : str, default "loss"
            Or of a run with a validation part "accuracy", "r2" or "mean_absolute_error".
        name : str, optional
            Of the run, for the legend.
        ax : matplotlib Axes, optional

        Raises
        ------
        ValueError
            If it has no epoch yet, or its file is damaged.
        """
        return cls(history_of(run), name=name).plot(ax, metric=metric)
