"""Figures of runs as files, and an HTML page about runs.

The page contains its figures and needs no server or network.  `displays.py` defines what a figure
shows; matplotlib draws them here without pyplot, so that none stays open.
"""

import base64
import io
import warnings
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pluggable_mlp.data import DataError, DataWarning
from pluggable_mlp.data.columns import Described
from pluggable_mlp.figures.displays import (
    ConfusionMatrixDisplay,
    PredictionErrorDisplay,
    TrainingCurveDisplay,
    WeightsDisplay,
)
from pluggable_mlp.figures.sources import curves_of, first_layer_of, in_words, pairs_by_output
from pluggable_mlp.files import read_json
from pluggable_mlp.runs.predict import SavedRun, load_run
from pluggable_mlp.runs.saved import read_summary
from pluggable_mlp.wording import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem;
       color: #1a1a1a; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
table { border-collapse: collapse; margin: 0.5rem 0; display: block; overflow-x: auto; }
th, td { text-align: left; padding: 0.2rem 0.8rem 0.2rem 0; border-bottom: 1px solid #eee;
         vertical-align: top; }
td { overflow-wrap: anywhere; }
img { max-width: 100%; height: auto; margin: 0.5rem 0; }
pre { overflow-x: auto; font-size: 0.9em; }
.columns { display: flex; flex-wrap: wrap; gap: 0 3rem; }
.columns > div { max-width: 100%; }
code { font-size: 0.9em; }
"""
_OF_MACHINE = ("backend", "device", "versions")


def draw_figures(run: SavedRun, data: str | None = None) -> dict[str, "Figure"]:
    """Return the figures of a run by name, without those of a test part if there is none.

    Parameters
    ----------
    run : SavedRun
    data : str, optional
        Where its data are now; by default where they were in training.

    Raises
    ------
    DataError
        If the data are missing or have changed.
    """
    return {
        "learning-curves": learning_curves([run.folder]),
        **_figures_of_test_part(run, data),
        **_first_layer(run),
    }


def learning_curves(folders: Sequence[Path]) -> "Figure":
    """Return a figure of the losses of runs, beside the scores on their validation parts.

    A dot on the last curve of each run marks the epoch that is kept.
    """
    runs = [
        TrainingCurveDisplay(curves_of(folder), name=str(folder) if folders[1:] else None)
        for folder in folders
    ]
    first = [name for run in runs for name in run.metrics[1:2]]  # that of the metric, if any
    names = dict.fromkeys([*first, "accuracy", "r2"])
    scores = [score for score in names if any(score in run.metrics for run in runs)]
    figure = _figure(6.4 * (1 + len(scores)), 4.2)
    axes = figure.subplots(1, 1 + len(scores), squeeze=False)[0]
    for metric, ax in zip(["loss", *scores], axes, strict=True):
        for k, (folder, run) in enumerate(zip(folders, runs, strict=True)):
            if metric in run.metrics:
                run.plot(ax, metric=metric, color=f"C{k}")
                if (folder / "summary.json").exists():
                    kept_epoch = read_summary(folder)["kept_epoch"]
                    y = np.asarray(run.lines_[-1].get_ydata())[kept_epoch - 1]
                    ax.plot(kept_epoch, y, "o", color=f"C{k}", label=f"kept: epoch {kept_epoch}")
                    ax.legend(fontsize="small")
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


def _figures_of_test_part(run: SavedRun, data: str | None) -> dict[str, "Figure"]:
    """Return the confusion matrix of classes, or the residuals of each output."""
    if run.settings.test_share == 0 or run.preparation.task == "multilabel":
        return {}
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
    return {name: figure}


def _first_layer(run: SavedRun) -> dict[str, "Figure"]:
    """Return a figure of the first layer's weights; none of members, or after embeddings."""
    W, names, _ = first_layer_of(run)
    if W.ndim != 2 or len(names or W) != len(W):
        return {}
    figure = _figure(6.4, 4.8)
    WeightsDisplay.from_training(run, ax=figure.subplots())
    figure.suptitle("first layer's weights")
    return {"first-layer": figure}


def _figure(width: float, height: float) -> "Figure":
    """Return an empty figure that is unknown to pyplot."""
    require("matplotlib", "plot", "figures are drawn")
    from matplotlib.figure import Figure

    return Figure(figsize=(min(width, 24.0), height), layout="constrained")


def report_page(folders: Sequence[Path], backend: str, data: str | None = None) -> str:
    """Return a page about runs.

    If the data of a run are missing or have changed, a warning and the page say so, and the
    figures of its test part are left out.

    Parameters
    ----------
    folders : sequence of Path
    backend : str
        The backend that computes the predictions.
    data : str, optional
        New path of the data of the runs, if they were moved.
    """
    runs = [load_run(folder, backend) for folder in folders]
    title = escape(", ".join(map(str, folders)))
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
    reached = [read_summary(run.folder) for run in runs]
    measured = [key for row in reached for key in row if key.startswith(("test_", "valid"))]
    keys = ["epochs", "kept_epoch", "train_loss", *measured, "seconds", "backend", "device"]
    rows = [[in_words(key), *(row.get(key) for row in reached)] for key in dict.fromkeys(keys)]
    settings = [run.settings.to_dict() for run in runs]
    for key in sorted(settings[0].keys() - {*keys}):
        values = [row[key] for row in settings]
        if any(value != values[0] for value in values):
            rows.append([in_words(key), *values])
    head = ["", *(str(run.folder) for run in runs)]
    curves = learning_curves([run.folder for run in runs])
    return f"<h2>Comparison</h2>\n{_table(rows, head)}\n{_image('comparison', curves)}"


def _section(run: SavedRun, data: str | None) -> str:
    """Return the part of the page about one run."""
    folder, summary = run.folder, read_summary(run.folder)
    machine = {"backend": summary["backend"], "device": summary["device"], **summary["versions"]}
    certificate = read_json(folder / "certificate.json", "a file of the run")
    result = [[in_words(key), value] for key, value in summary.items() if key not in _OF_MACHINE]
    tables = {
        "Settings": run.settings.to_dict(),
        "Made with": machine,
        "Certificate": {
            key: value for key, value in certificate.items() if isinstance(value, str | int)
        },
    }
    shown = "\n".join(
        f"<div><h3>{title}</h3>\n{_table([[in_words(key), value[key]] for key in value])}</div>"
        for title, value in tables.items()
    )
    return (
        f"<h2>{escape(str(folder))}</h2>\n<h3>Result</h3>\n{_table(result)}\n"
        f"{_images(run, data)}\n{_preparation(run)}"
        f'<div class="columns">\n{shown}\n</div>'
    )


def _images(run: SavedRun, data: str | None) -> str:
    """Return the figures of a run; without its data, a note instead of those that need them."""
    note = ""
    try:
        figures = draw_figures(run, data)
    except DataError as error:
        words = f"Without the figures of the test part: {error}"
        warnings.warn(words, DataWarning, stacklevel=4)
        note = f"<p>{escape(words)}</p>\n"
        curves = learning_curves([run.folder])
        figures = {"learning-curves": curves, **_first_layer(run)}
    return note + "\n".join(_image(name, figure) for name, figure in figures.items())


def _preparation(run: SavedRun) -> str:
    """Return a table of how each column is prepared, and lines on targets and examples."""
    table = _table(run.preparation.describe(), Described._fields)
    facts = "\n".join(f"<p>{escape(line)}</p>" for line in run.preparation.facts())
    return f"<h3>Preparation</h3>\n{table}\n{facts}\n"


def _table(rows: Sequence[Sequence[object]], head: Sequence[str] = ()) -> str:
    """Return a table whose first column names the rows."""
    lines = ["<tr>" + "".join(f"<th>{escape(one)}</th>" for one in head) + "</tr>"] if head else []
    for name, *values in rows:
        cells = "".join(f"<td>{escape(_words(value))}</td>" for value in values)
        lines.append(f"<tr><th>{escape(str(name))}</th>{cells}</tr>")
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _words(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value)) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _image(name: str, figure: "Figure") -> str:
    """Return a figure as an image within the page."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110)
    content = base64.b64encode(data.getvalue()).decode()
    return f'<img alt="{escape(name)}" src="data:image/png;base64,{content}">'
