"""Figures of runs as files, and an HTML page about runs.

The page contains its figures and needs no server or network.  `displays.py` defines what a figure
shows; matplotlib draws them here without pyplot, so that none stays open.
"""

import base64
import io
import warnings
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from pluggable_mlp.data import DataError, DataWarning
from pluggable_mlp.data.columns import Described
from pluggable_mlp.fields import require
from pluggable_mlp.figures.displays import (
    ConfusionMatrixDisplay,
    PredictionErrorDisplay,
    TrainingCurveDisplay,
    WeightsDisplay,
    curves_of,
    first_layer_of,
    in_words,
    pairs_by_output,
)
from pluggable_mlp.runs.predict import SavedRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
th, td { text-align: left; padding: 0.2rem 0.8rem 0.2rem 0; border-bottom: 1px solid #eee;
         vertical-align: top; overflow-wrap: anywhere; }
img { max-width: 100%; height: auto; }
"""


def figures_of(run: SavedRun, data: str | None = None) -> "Iterator[tuple[str, Figure]]":
    """Yield the figures of a run with their names: last that of the test part, if there is one.

    Its data are now at `data`, by default where they were in training.

    Raises
    ------
    DataError
        If the data are missing or have changed.
    """
    yield "learning-curves", learning_curves([run])
    W, names, _ = first_layer_of(run)
    if W.ndim == 2 and len(names or W) == len(W):  # neither of members nor after embeddings
        figure = _figure(6.4, 4.8)
        WeightsDisplay.from_training(run, ax=figure.subplots())
        figure.suptitle("first layer's weights")
        yield "first-layer", figure
    if run.plan.options.test_share == 0 or run.preparation.task == "multilabel":
        return
    if run.preparation.task == "classification":
        figure = _figure(6.4, 5.6)
        ConfusionMatrixDisplay.from_run(run, data=data, ax=figure.subplots())
        name = "confusion-matrix"
    else:
        pairs = pairs_by_output(run, data)
        figure = _figure(5.0 * len(pairs), 4.2)
        axes = figure.subplots(1, len(pairs), squeeze=False)[0]
        for ax, (output, pair) in zip(axes, pairs.items(), strict=True):
            PredictionErrorDisplay.from_predictions(*pair, ax=ax).ax_.set_title(output)
        name = "residuals"
    figure.suptitle("test part")
    yield name, figure


def learning_curves(runs: Sequence[SavedRun]) -> "Figure":
    """Return a figure of the losses of runs, beside the first scores of their validation parts."""
    displays = [
        TrainingCurveDisplay(curves_of(run), name=str(run.folder) if runs[1:] else None)
        for run in runs
    ]
    names = [name for one in displays for name in (*one.metrics[:2], "accuracy", "r2")]
    measured = {name for one in displays for name in one.metrics}
    metrics = [name for name in dict.fromkeys(names) if name in measured]
    figure = _figure(6.4 * len(metrics), 4.2)
    figure.suptitle("dots mark the epochs that are kept")
    axes = figure.subplots(1, len(metrics), squeeze=False)[0]
    for metric, ax in zip(metrics, axes, strict=True):
        for k, (run, display) in enumerate(zip(runs, displays, strict=True)):
            if metric in display.metrics:
                *_, line = display.plot(ax, metric=metric, color=f"C{k}").lines_
                line.set(marker="o", markevery=[run.summary["kept_epoch"] - 1])
    _scale_to_powers(axes[0])
    return figure


def _scale_to_powers(ax: "Axes") -> None:
    """Make the y axis logarithmic if lines are positive and spread over a power of ten.

    Tick labels from 0.0001 to 100,000 are written in full.
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


def _figure(width: float, height: float) -> "Figure":
    """Return an empty figure that is unknown to pyplot."""
    require("matplotlib", "plot", "drawing figures")
    from matplotlib.figure import Figure

    return Figure(figsize=(min(width, 24.0), height), layout="constrained")


def report_page(runs: Sequence[SavedRun], data: str | None = None) -> str:
    """Return a page about runs, whose data are now at `data`, if they were moved.

    If the data of a run are missing or have changed, a warning and the page say so, and the
    figure of its test part is left out.
    """
    title = escape(", ".join(str(run.folder) for run in runs))
    sections = [_comparison(runs)] if len(runs) > 1 else []
    sections += [_section(run, data) for run in runs]
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        + "\n".join(sections)
        + "\n</body>\n</html>\n"
    )


def _comparison(runs: Sequence[SavedRun]) -> str:
    """Return a table of the runs' results, and of the settings in which they differ."""
    keys = dict.fromkeys(key for run in runs for key in run.summary)
    rows = [[in_words(key), *(run.summary.get(key) for run in runs)] for key in keys]
    settings = [run.plan.to_dict() for run in runs]
    for key in sorted({*chain(*settings)} - keys.keys()):
        values = [row.get(key) for row in settings]
        if any(value != values[0] for value in values):
            rows.append([in_words(key), *values])
    table = _table(rows, ["", *(str(run.folder) for run in runs)])
    return f"<h2>Comparison</h2>\n{table}\n{_image('comparison', learning_curves(runs))}"


def _section(run: SavedRun, data: str | None) -> str:
    """Return the part of the page about one run."""
    result, settings = (
        _table([in_words(key), value] for key, value in values.items())
        for values in (run.summary, run.plan.to_dict())
    )
    figures = []
    try:
        for name, figure in figures_of(run, data):
            figures.append(_image(name, figure))
    except DataError as error:
        words = f"Without the figure of the test part: {error}"
        warnings.warn(words, DataWarning, stacklevel=3)
        figures.append(f"<p>{escape(words)}</p>")
    facts = [f"<p>{escape(line)}</p>" for line in run.preparation.facts()]
    preparation = _table(run.preparation.describe(), Described._fields)
    parts = (
        f"<h2>{escape(str(run.folder))}</h2>\n<h3>Result</h3>", result, *figures,
        "<h3>Preparation</h3>", preparation, *facts, "<h3>Settings</h3>", settings,
    )  # fmt: skip
    return "\n".join(parts)


def _table(rows: Iterable[Sequence[object]], head: Sequence[str] = ()) -> str:
    """Return a table whose first column names the rows."""
    lines = ["<tr>" + "".join(f"<th>{escape(one)}</th>" for one in head) + "</tr>"] if head else []
    for name, *values in rows:
        cells = "".join(f"<td>{escape(_words(value))}</td>" for value in values)
        lines.append(f"<tr><th>{escape(str(name))}</th>{cells}</tr>")
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _words(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, dict):
        value = [f"{name} {version}" for name, version in value.items()]
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value)) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _image(name: str, figure: "Figure") -> str:
    """Return a figure as an image within the page."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110)
    content = base64.b64encode(data.getvalue()).decode()
    return f'<img alt="{escape(name)}" src="data:image/png;base64,{content}">'
