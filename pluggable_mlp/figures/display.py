"""What all displays share: their axes, and ticks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure, SubFigure


def need_matplotlib() -> None:
    """Raise ImportError if matplotlib is not installed; the message says how to install it."""
    try:
        import matplotlib.axes  # noqa: F401
    except ImportError:
        raise ImportError(
            "figures are drawn by matplotlib, which is not installed; "
            "python -m pip install 'pluggable-mlp[plot]'"
        ) from None


class Display:
    """Something to draw, and the axes on which it was drawn last."""

    ax_: "Axes"
    figure_: "Figure | SubFigure"

    def _take_axes(self, ax: "Axes | None") -> "Axes":
        """Keep the axes, by default those of a new figure, and return them."""
        need_matplotlib()
        from matplotlib.axes import Axes

        if ax is None:
            import matplotlib.pyplot as plt  # a notebook shows its figures, and so does plt.show()

            ax = plt.subplots(layout="constrained")[1]
        elif not isinstance(ax, Axes):
            raise TypeError(f"ax is {ax!r:.80}, expected Axes, such as plt.subplots()[1]")
        self.ax_, self.figure_ = ax, ax.figure
        return ax


def in_words(name: str) -> str:
    """Return the name of a setting or a measure for readers: "test R²" for "test_r2"."""
    return " ".join({"r2": "R²", "f1": "F1"}.get(word, word) for word in name.split("_"))


def scale_to_powers(ax: "Axes") -> None:
    """Make the y axis logarithmic where lines are positive and spread over a power of ten.

    Numbers from 0.0001 to 100,000 at its ticks are written in full.
    """
    from matplotlib.ticker import LogLocator, NullLocator

    values = np.concatenate([np.asarray(line.get_ydata(), np.float64) for line in ax.lines])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if not 0.0 < 10.0 * low <= high:
        return
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 1000.0 * low else (1.0,)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_locator(NullLocator())


def integer_ticks(axis: "Axis") -> None:
    """Put ticks at integers alone."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True))


def name_ticks(axis: "Axis", names: Sequence[Any], *, upright: bool = False) -> None:
    """Put a name at each of 0, 1, …; upright where names side by side would be too long."""
    rotation = 90 if upright and max(len(str(name)) for name in names) > 3 else 0
    axis.set_ticks(range(len(names)), [str(name) for name in names], rotation=rotation)
