"""The weights of a dense layer, as a map or as images.

Shapes: W (in, out).
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.figures.display import Display, integer_ticks, name_ticks
from pluggable_mlp.figures.sources import AnyRun, fitted, open_run
from pluggable_mlp.lazy import on_host
from pluggable_mlp.network.passes import Parameters
from pluggable_mlp.training.train import Training

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

MOST_FEATURES_NAMED = 30
MOST_IMAGES = 64
LEAST_SIDE = 4
"""Features that form a smaller square are not shown as an image."""


class WeightsDisplay(Display):
    """The weights of a layer: a row for each unit, or an image for each of the first 64 units.

    Parameters
    ----------
    W : array (in, out)
        Of a dense layer, such as `estimator.coefs_[1]`.
    feature_names : sequence of str, optional
        Of the inputs; up to 30 are shown.
    image_shape : tuple of two ints, optional
        Height and width, where the inputs are the pixels of an image.

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
        self.W, self.image_shape = on_host(W), image_shape
        if self.W.ndim != 2:
            raise ValueError(f"W has the shape {self.W.shape}, expected (in, out) of one network")
        features = len(self.W)
        self.feature_names = [] if feature_names is None else [*feature_names]
        if self.feature_names and len(self.feature_names) != features:
            raise ValueError(f"feature_names are {self.feature_names}, expected {features} names")
        if image_shape is not None and math.prod(image_shape) != features:
            raise ValueError(f"image_shape is {image_shape}, expected that of {features} pixels")

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Plot the weights, by default on the axes of a new figure, and return this display."""
        ax = self._take_axes(ax)
        limit = float(np.abs(self.W).max()) or 1.0
        style: dict[str, Any] = {
            "cmap": "RdBu",
            "vmin": -limit,
            "vmax": limit,
            "interpolation": "nearest",
        }
        if self.image_shape is not None:
            self.im_ = ax.imshow(_tiles(self.W, *self.image_shape), **style)
            ax.set_axis_off()
            units = self.W.shape[1]
            ax.set_title(f"{min(units, MOST_IMAGES)} of {units} units")
        else:
            self.im_ = ax.imshow(self.W.T, aspect="auto", **style)
            ax.set(xlabel="feature", ylabel="unit")
            integer_ticks(ax.xaxis)
            integer_ticks(ax.yaxis)
            if 0 < len(self.feature_names) <= MOST_FEATURES_NAMED:
                name_ticks(ax.xaxis, self.feature_names, upright=True)
        ax.figure.colorbar(self.im_, ax=ax)
        return self

    @classmethod
    def from_training(
        cls,
        training: Training,
        *,
        image_shape: tuple[int, int] | None = None,
        ax: "Axes | None" = None,
    ) -> Self:
        """Plot the first dense layer of what `train` returned.

        Raises
        ------
        ValueError
            If there is none with a W (in, out).
        """
        return cls(_first_matrix(training.parameters), image_shape=image_shape).plot(ax)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        image_shape: tuple[int, int] | None = None,
        ax: "Axes | None" = None,
    ) -> Self:
        """Plot the first layer of a fitted MLPClassifier or MLPRegressor."""
        W = fitted(estimator, "coefs_", "fit it first")[0]
        names = getattr(estimator, "feature_names_in_", None)
        return cls(W, feature_names=names, image_shape=image_shape).plot(ax)

    @classmethod
    def from_run(cls, run: AnyRun, *, ax: "Axes | None" = None) -> Self:
        """Plot the first layer of a run, or of the folder of one.

        Pixels, and features without names, are shown as images if their count is that of a square.
        """
        saved = open_run(run)
        W = saved.backend.to_numpy(_first_matrix(saved.parameters))
        names = saved.preparation.feature_names
        side = math.isqrt(len(W))
        is_square = side * side == len(W) and side >= LEAST_SIDE
        is_image = is_square and (saved.preparation.scale is not None or not names)
        return cls(W, feature_names=names, image_shape=(side, side) if is_image else None).plot(ax)


def _tiles(W: "NDArray[Any]", height: int, width: int) -> "NDArray[Any]":
    """Return the images of the first units in rows side by side, with NaN between them."""
    shown = min(W.shape[1], MOST_IMAGES)
    columns = math.isqrt(shown - 1) + 1
    rows = -(-shown // columns)
    tiles = np.full((rows * columns, height + 1, width + 1), np.nan)
    tiles[:shown, :height, :width] = W.T[:shown].reshape(shown, height, width)
    grid = tiles.reshape(rows, columns, height + 1, width + 1).swapaxes(1, 2)
    return grid.reshape(rows * (height + 1), columns * (width + 1))[:-1, :-1]


def _first_matrix(parameters: Parameters) -> Array:
    """Return W of the first dense layer: others may precede it.

    Raises
    ------
    ValueError
        If there is none, as in a network of members without hidden layers.
    """
    for layer in parameters:
        if "W" in layer:
            return layer["W"]
    names = "; ".join(", ".join(layer) for layer in parameters)
    raise ValueError(
        f"parameters are {names}, without a W (in, out); plot the weights of one member by "
        f"WeightsDisplay(parameters[{len(parameters) - 1}]['member_W'][0])"
    )
