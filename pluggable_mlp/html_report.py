"""One HTML page about runs, with all its figures in it: it needs no server and no network."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

__all__ = ["ReportedRun", "report_page"]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem;
       color: #1a1a1a; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
table { border-collapse: collapse; margin: 0.5rem 0; display: block; overflow-x: auto; }
th, td { text-align: left; padding: 0.2rem 0.8rem 0.2rem 0; border-bottom: 1px solid #eee;
         vertical-align: top; }
td { overflow-wrap: anywhere; }
img { max-width: 100%; height: auto; margin: 0.5rem 0; }
.columns { display: flex; flex-wrap: wrap; gap: 0 3rem; }
.columns > div { max-width: 100%; }
code { font-size: 0.9em; }
"""
_OF_MACHINE = ("backend", "device", "versions")


@dataclass(frozen=True)
class ReportedRun:
    """What a page says of one run.

    Parameters
    ----------
    name : str
    summary, settings, certificate : mapping
        Of its folder's files.
    figures : mapping of str to matplotlib figures
    note : str
        What could not be shown, and why.
    """

    name: str
    summary: Mapping[str, Any]
    settings: Mapping[str, Any]
    certificate: Mapping[str, Any]
    figures: Mapping[str, Any]
    note: str = ""


def report_page(runs: Sequence[ReportedRun], comparison: Any = None) -> str:
    """Return the page; `comparison` is a figure of several runs together."""
    title = ", ".join(run.name for run in runs)
    parts = [f"<h1>{escape(title)}</h1>"]
    if len(runs) > 1:
        parts.append(_compared(runs, comparison))
    parts.extend(_section(run) for run in runs)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _compared(runs: Sequence[ReportedRun], comparison: Any) -> str:
    """Return a table of what the runs reached, and of the settings in which they differ."""
    measured = [key for run in runs for key in run.summary if key.startswith(("test_", "valid"))]
    keys = ["epochs", "kept_epoch", "train_loss", *measured, "seconds", "backend", "device"]
    settings = {key for run in runs for key in run.settings}
    differing = [
        key
        for key in sorted(settings - {*keys})
        if len({str(run.settings.get(key)) for run in runs}) > 1
    ]
    rows = [
        *([key, *(run.summary.get(key) for run in runs)] for key in dict.fromkeys(keys)),
        *([key, *(run.settings.get(key) for run in runs)] for key in differing),
    ]
    head = ["", *(run.name for run in runs)]
    return f"<h2>Comparison</h2>\n{_table(rows, head)}\n{_image('comparison', comparison)}"


def _section(run: ReportedRun) -> str:
    """Return what is said of one run."""
    summary = {key: of for key, of in run.summary.items() if key not in _OF_MACHINE}
    versions = run.summary["versions"]
    machine = {"backend": run.summary["backend"], "device": run.summary["device"], **versions}
    certificate = {key: of for key, of in run.certificate.items() if isinstance(of, str | int)}
    tables = [
        ("Result", summary),
        ("Settings", run.settings),
        ("Made with", machine),
        ("Certificate", certificate),
    ]
    shown = "\n".join(
        f"<div><h3>{title}</h3>\n{_table([*map(list, of.items())])}</div>" for title, of in tables
    )
    images = "\n".join(_image(name, figure) for name, figure in run.figures.items())
    note = f"<p>{escape(run.note)}</p>\n" if run.note else ""
    return f'<h2>{escape(run.name)}</h2>\n{note}{images}\n<div class="columns">\n{shown}\n</div>'


def _table(rows: Sequence[Sequence[Any]], head: Sequence[str] = ()) -> str:
    """Return a table whose first column names the rows."""
    lines = ["<tr>" + "".join(f"<th>{escape(one)}</th>" for one in head) + "</tr>"] if head else []
    for name, *values in rows:
        cells = "".join(f"<td>{escape(_words(value))}</td>" for value in values)
        lines.append(f"<tr><th>{escape(str(name).replace('_', ' '))}</th>{cells}</tr>")
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _words(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value)) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _image(name: str, figure: Any) -> str:
    """Return a figure as an image within the page."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110)
    content = base64.b64encode(data.getvalue()).decode()
    return f'<img alt="{escape(name)}" src="data:image/png;base64,{content}">'
