"""The chart: training steps, ours and by hand, a line for each library.

Without a background, in colours that are seen on a light and on a dark one.
"""

from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.contenders import Entry
from benchmarks.tables import LIBRARIES, OPTIMIZERS, fastest

__all__ = ["draw_steps"]

_COLORS = {"numpy": "#3f8fd2", "torch": "#e4572e", "jax": "#2a9d6f", "cupy": "#9b6fd0"}
_KINDS = {"ours": "o-", "peer": "x:"}  # marker and line
_GRAY = "#808890"  # of text and axes
_STYLE: Any = {
    "svg.hashsalt": "pluggable-mlp",  # the same file for the same numbers
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.markersize": 5,
    "lines.linewidth": 1.6,
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _GRAY
    ),
}


def draw_steps(entries: dict[str, Entry], cases: list[dict[str, Any]], path: Path) -> None:
    """Write an SVG of steps: a panel for each optimizer and network that was measured with SGD."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    networks = list(dict.fromkeys(case["network"] for case in cases if case["optimizer"] == "sgd"))
    with rc_context(_STYLE):
        figure = Figure(figsize=(2.6 * len(networks), 6.0))
        FigureCanvasSVG(figure)  # the layout is for its text
        shape = len(OPTIMIZERS), len(networks)
        panels = figure.subplots(*shape, sharex="col", sharey=True, squeeze=False)
        lines: dict[str, Any] = {}
        for row, (optimizer, name) in zip(panels, OPTIMIZERS.items(), strict=True):
            for panel, network in zip(row, networks, strict=True):
                panel.set_title(f"{network}, {name}", fontsize=10)
                these = [c for c in cases if (c["network"], c["optimizer"]) == (network, optimizer)]
                lines |= _draw(panel, entries, these)
            row[0].set_ylabel("time / fastest by hand")
        for panel in panels[-1]:
            panel.set_xlabel("batch")
        columns = len(lines) // 2 or 1
        figure.legend(lines.values(), lines.keys(), loc="lower center", ncols=columns)
        figure.tight_layout(rect=(0, 0.1, 1, 1))
        figure.savefig(path, metadata={"Date": None}, transparent=True)


def _draw(panel: Any, entries: dict[str, Entry], cases: list[dict[str, Any]]) -> dict[str, Any]:
    """Draw the lines of the cases of one network and optimizer; return them by their labels."""
    from matplotlib.ticker import LogLocator, NullLocator

    lines = {}
    for library, name in LIBRARIES.items():
        for kind, style in _KINDS.items():
            points = [
                (place, median(case["seconds"][found]) / median(case["seconds"][best]))
                for place, case in enumerate(cases)
                if (best := fastest(entries, case["seconds"], "peer"))
                and (found := fastest(entries, case["seconds"], kind, library))
            ]
            if points:
                label = f"pluggable-mlp on {name}" if kind == "ours" else f"{name} by hand"
                xs, ys = zip(*points, strict=True)
                (lines[label],) = panel.plot(xs, ys, style, color=_COLORS[library])
    panel.axhline(1.0, color=_GRAY, linewidth=0.8)
    panel.set_yscale("log")
    panel.set_xticks(range(len(cases)), [str(case["batch"]) for case in cases])
    panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    panel.yaxis.set_major_formatter("{x:g}")
    panel.yaxis.set_minor_locator(NullLocator())
    panel.grid(visible=True, axis="y", linewidth=0.3, color=_GRAY)
    return lines
