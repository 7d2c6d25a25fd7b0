"""The plot that the README shows: time of a step over the time of its products."""

from pathlib import Path
from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.measure import quartiles

__all__ = ["plot_steps"]

_STYLES = {"ours": "o-", "peer": "s--", "other": "^:"}
_COLORS = ("tab:blue", "tab:orange", "tab:green", "tab:purple", "tab:brown", "0.4")
_LEFT_OUT = ("limit", "notebook", "ours-torch", "ours-jax")


def plot_steps(backend: str, result: dict[str, Any], path: Path) -> None:
    """Write an SVG with a panel for each network, from the JSON of the steps (plain SGD)."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "pluggable-mlp"  # the same file for the same numbers
    from matplotlib import pyplot

    cells = [cell for cell in result["cells"] if cell["optimizer"] == "sgd"]
    networks = list(dict.fromkeys(cell["network"] for cell in cells))
    figure, panels = pyplot.subplots(
        1, len(networks), figsize=(3.4 * len(networks), 3.6), sharey=True, squeeze=False
    )
    for panel, network in zip(panels[0], networks, strict=True):
        _draw(panel, backend, [cell for cell in cells if cell["network"] == network])
        panel.set_title(network, fontsize=10)
        panel.set_xlabel("batch")
    panels[0][0].set_ylabel("time of a step / its matrix products")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=4, fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0.13, 1, 1))
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _draw(panel: Any, backend: str, cells: list[dict[str, Any]]) -> None:
    colors = iter(_COLORS)
    for name, entry in CONTENDERS[backend].items():
        if name in _LEFT_OUT:
            continue
        color = "tab:red" if entry.kind == "ours" else next(colors)  # the same in every panel
        points = [cell for cell in cells if name in cell["seconds_per_step"]]
        if not points:
            continue
        medians, lower, upper = [], [], []
        for cell in points:
            samples, limit = (cell["seconds_per_step"][key] for key in (name, "limit"))
            _, low, median, high = (q / quartiles(limit)[2] for q in quartiles(samples))
            medians.append(median)
            lower.append(median - low)
            upper.append(high - median)
        panel.errorbar(
            [cell["batch"] for cell in points],
            medians,
            yerr=(lower, upper),
            fmt=_STYLES[entry.kind],
            color=color,
            alpha=0.5 if name == "ours-uint8" else 1.0,
            label=entry.label,
            markersize=4,
            linewidth=1.2,
        )
    panel.axhline(1.0, color="black", linewidth=0.8)
    panel.set(xscale="log", yscale="log")
    batches = [cell["batch"] for cell in cells]
    panel.set_xticks(batches, list(map(str, batches)), minor=False)
    panel.set_xticks([], minor=True)
    panel.grid(visible=True, axis="y", which="both", linewidth=0.3)
