"""`pluggable-mlp plot` and `report`: what runs reached, in figures and on a page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pluggable_mlp.cli.options import RunArgument, path
from pluggable_mlp.cli.streams import tell

if TYPE_CHECKING:
    from pluggable_mlp.html_report import ReportedRun

__all__ = ["plot", "report"]

DataOption = Annotated[
    str | None,
    typer.Option(help="Where the data of the run are now; by default where they were."),
]


def plot(
    run: RunArgument,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for the figures; by default plots in the run's.", parser=path),
    ] = None,
    form: Annotated[str, typer.Option("--format", help="png, svg or pdf.")] = "png",
    data: DataOption = None,
    backend: Annotated[str, typer.Option(help="As for train.")] = "numpy",
) -> None:
    """Draw learning curves, confusion matrix or residuals, and the first layer's weights."""
    from pluggable_mlp.backends import get_backend
    from pluggable_mlp.figures import figures_of, need_matplotlib
    from pluggable_mlp.registry import choose
    from pluggable_mlp.saved_runs import load_run

    need_matplotlib()
    choose({"png": 0, "svg": 0, "pdf": 0}, form, "format")
    place = get_backend(backend)
    figures = figures_of(run, load_run(run, place), place, data)
    folder = run / "plots" if output is None else output
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            figure.savefig(folder / f"{name}.{form}", dpi=150)
            typer.echo(folder / f"{name}.{form}")
    except OSError as error:
        raise ValueError(f"--output {folder} cannot be written: {error.strerror}") from None


def report(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders written by train --output.", metavar="RUN...")
    ],
    output: Annotated[Path, typer.Option(help="The page to write.", parser=path)] = "report.html",  # type: ignore[assignment]
    data: DataOption = None,
    backend: Annotated[str, typer.Option(help="As for train.")] = "numpy",
) -> None:
    """Write one HTML page about runs, which opens without a server or a network."""
    from pluggable_mlp.backends import get_backend
    from pluggable_mlp.figures import history_of, learning_curves, need_matplotlib
    from pluggable_mlp.html_report import report_page
    from pluggable_mlp.storage import write_file

    need_matplotlib()
    place = get_backend(backend)
    reported = [_reported(run, place, data) for run in runs]
    together = {str(run): history_of(run) for run in runs}
    comparison = learning_curves(together) if len(runs) > 1 else None
    try:
        write_file(output, report_page(reported, comparison).encode())
    except OSError as error:
        raise ValueError(f"--output {output} cannot be written: {error.strerror}") from None
    typer.echo(output)


def _reported(folder: Path, backend: Any, data: str | None) -> "ReportedRun":
    """Return what the page says of a run; without the figures of data that are not there."""
    from pluggable_mlp.data import DataError
    from pluggable_mlp.figures import figures_of, history_of, learning_curves
    from pluggable_mlp.html_report import ReportedRun
    from pluggable_mlp.run_files import SUMMARY
    from pluggable_mlp.saved_runs import load_run
    from pluggable_mlp.storage import read_json

    saved, note = load_run(folder, backend), ""
    try:
        figures = figures_of(folder, saved, backend, data)
    except DataError as error:
        note = f"Without the figures of the test part: {error}"
        tell(f"Warning: {note}")
        figures = {"learning-curves": learning_curves({folder.name: history_of(folder)})}
    summary, certificate = (
        read_json(folder / f"{name}.json", "a file of the run", shape)
        for name, shape in (("summary", SUMMARY), ("certificate", {}))
    )
    return ReportedRun(str(folder), summary, saved.settings.to_dict(), certificate, figures, note)
