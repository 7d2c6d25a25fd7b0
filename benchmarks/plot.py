"""The chart that the README shows: training steps, ours and by hand, a line for each library.

Without a background, in colours that are seen on a light and on a dark one.
"""

from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.ratios import LIBRARIES, OPTIMIZERS, fastest

__all__ = ["plot_steps"]

_COLORS = {"numpy": "#3f8fd2", "torch": "#e4572e", "jax": "#2a9d6f", "cupy": "#9b6fd0"}
_KINDS = {"ours": ("o", "-"), "peer": ("x", ":")}
_GRAY = "#808890"  # of text and axes
_STYLE = {
    "svg.hashsalt": "pluggable-mlp",  # the same file for the same numbers
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _GRAY
    ),
}


def plot_steps(backend: str, result: dict[str, Any], path: Path) -> None:
    """Write an SVG of the JSON of the steps: a panel for each network and optimizer."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    networks = list(dict.fromkeys(cell["network"] for cell in result["cells"]))
    with matplotlib.rc_context(_STYLE):
        figure, panels = pyplot.subplots(
            len(OPTIMIZERS),
            len(networks),
            figsize=(2.6 * len(networks), 6.0),
            sharex="col",
            sharey=True,
            squeeze=False,
        )
        for row, (optimizer, name) in zip(panels, OPTIMIZERS.items(), strict=True):
            for panel, network in zip(row, networks, strict=True):
                cells = [
                    (cell["batch"], cell["seconds_per_step"])
                    for cell in result["cells"]
                    if (cell["network"], cell["optimizer"]) == (network, optimizer)
                ]
                _draw(panel, backend, cells)
                panel.set_title(f"{network}, {name}", fontsize=10)
            row[0].set_ylabel("time / fastest by hand")
        for panel in panels[-1]:
            panel.set_xlabel("batch")
        lines = {label: line for panel in panels.flat for line, label in _legend(panel)}
        figure.legend(
            lines.values(), lines, loc="lower center", ncols=len(lines) // 2 or 1, frameon=False
        )
        figure.tight_layout(rect=(0, 0.1, 1, 1))
        figure.savefig(path, metadata={"Date": None}, transparent=True)
        pyplot.close(figure)


def _legend(panel: Any) -> list[tuple[Any, str]]:
    return list(zip(*panel.get_legend_handles_labels(), strict=True))


def _draw(panel: Any, backend: str, cells: list[tuple[int, dict[str, list[float]]]]) -> None:
    """Draw the lines of the cells (batch, samples) of one network and optimizer."""
    from matplotlib.ticker import LogLocator, NullLocator

    for library, name in LIBRARIES.items():
        for kind, (marker, line) in _KINDS.items():
            points = [
                (place, median(samples[found]) / median(samples[best]))
                for place, (_, samples) in enumerate(cells)
                if (best := fastest(backend, samples, "peer"))
                and (found := fastest(backend, samples, kind, library))
            ]
            if points:
                panel.plot(
                    *zip(*points, strict=True),
                    linestyle=line,
                    marker=marker,
                    color=_COLORS[library],
                    label=f"pluggable-mlp on {name}" if kind == "ours" else f"{name} by hand",
                    markersize=5,
                    linewidth=1.6,
                )
    panel.axhline(1.0, color=_GRAY, linewidth=0.8)
    panel.set_yscale("log")
    panel.set_xticks(range(len(cells)), [str(batch) for batch, _ in cells])
    panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    panel.yaxis.set_major_formatter("{x:g}")
    panel.yaxis.set_minor_locator(NullLocator())
    panel.grid(visible=True, axis="y", linewidth=0.3, color=_GRAY)
