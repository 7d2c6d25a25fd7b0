"""Commands on saved runs: `evaluate`, `predict`, `export`, `plot`, `report` and `verify`."""

import codecs
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from pluggable_mlp.backends import get_backend
from pluggable_mlp.cli.console import (
    Interrupted,
    ending_when_asked,
    log,
    naming,
    progress_bar,
    remove_at_end,
    save_input,
)
from pluggable_mlp.cli.options import BackendOption, RunArgument, SuffixOption
from pluggable_mlp.fields import align, choose, pluralize
from pluggable_mlp.files import make_folder, part_of, to_json, whole_file, write_file

if TYPE_CHECKING:
    from pluggable_mlp.training.evaluation import Counts

DataOption = Annotated[
    str | None,
    typer.Option(help="New path of the data of the run, if they were moved."),
]


def evaluate(
    run: RunArgument,
    data: Annotated[
        str | None,
        typer.Option(help="As for train, or - for standard input; by default the data of the run."),
    ] = None,
    suffix: SuffixOption = ".csv",
    backend: BackendOption = "numpy",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on one line.")] = False,
) -> None:
    """Evaluate a saved run on the test part of its data, or on other data.

    If other data have a test part, such as mnist or an .npz with X_test and y_test, only that part
    is used, otherwise all examples.
    """
    from pluggable_mlp.runs.predict import load_run

    saved = load_run(run, backend)
    with save_input(data, suffix) as path:
        measures, counts = saved.evaluate_classes(path)
    if as_json:
        typer.echo(to_json(measures))
        return
    preparation = saved.preparation
    rows = [[name.replace("_", " "), f"{value:.6g}"] for name, value in measures.items()]
    typer.echo("\n".join(align(rows)))
    if counts is not None:
        names = preparation.class_labels or preparation.target_names or ()
        typer.echo("\n".join(["", *_table_of_classes(names, counts)]))


def _table_of_classes(names: Sequence[object], counts: "Counts") -> list[str]:
    """Return the lines of a table with a row for each class or label."""
    rows = [["class", "examples", "predicted", "precision", "recall", "F1"]]
    counted = zip(counts.examples, counts.predicted, strict=True)
    for name, numbers, scores in zip(names, counted, counts.scores(), strict=True):
        shown = ["-" if score is None else f"{score:.4f}" for score in scores]
        rows.append([str(name), *map(str, numbers), *shown])
    return align(rows)


def predict(
    run: RunArgument,
    inputs: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            help="Examples without targets: .npy, .npz with X, a table, a file of IDX images, or "
            "- for standard input.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            help="File to write: .csv, or .npy for only the predictions; by default CSV on "
            "standard output.",
        ),
    ] = None,
    suffix: SuffixOption = ".csv",
    backend: BackendOption = "numpy",
) -> None:
    """Predict classes or labels, with their probabilities, or numbers."""
    import numpy as np

    from pluggable_mlp.runs.predict import load_run

    if output is not None and output.suffix.lower() not in ("", ".csv", ".npy"):
        raise ValueError(f"--output {output} ends in {output.suffix}, expected .csv or .npy")
    if output is not None and output.exists() and not output.is_file():
        raise ValueError(f"--output {output} is no regular file; leave it out for standard output")
    saved = load_run(run, backend)
    with save_input(str(inputs), suffix) as path:
        if output is None:
            _write_table(sys.stdout.buffer, saved.header(), saved.rows(path))
            return
        name = f"--output {output}"
        with naming(name), remove_at_end(part_of(output)), whole_file(output) as file:
            if output.suffix.lower() == ".npy":
                np.save(file, saved.predict(path))
            else:
                _write_table(file, saved.header(), saved.rows(path))


def _write_table(file: BinaryIO, header: list[str], rows: Iterator[list[object]]) -> None:
    """Write predictions as CSV in UTF-8, row by row."""
    import csv

    table = csv.writer(codecs.getwriter("utf-8")(file), lineterminator="\n")
    table.writerow(header)
    table.writerows(rows)


def export(
    run: RunArgument,
    output: Annotated[
        Path | None,
        typer.Option(help="The ONNX file to write; by default model.onnx in the run's folder."),
    ] = None,
) -> None:
    """Write a saved run as an ONNX graph, which takes rows as their file holds them.

    Its outputs are label and probabilities, or prediction, with an underscore appended if a column
    has that name; its inputs are listed on standard error.
    """
    from pluggable_mlp.runs.exporting import need_ndonnx, write_onnx
    from pluggable_mlp.runs.folder import GRAPH
    from pluggable_mlp.runs.predict import load_run

    need_ndonnx()
    saved = load_run(run)
    log("Recording the graph; the libraries for it take some seconds to load.")
    place = output or run / GRAPH
    with naming(f"--output {place}"):
        inputs = write_onnx(place, saved.preparation, saved.mlp, saved.parameters)
    for name, form in inputs.items():
        log(f"input {name}: {form}")
    typer.echo(place)


def plot(
    run: RunArgument,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for the figures; by default plots in the run's."),
    ] = None,
    form: Annotated[str, typer.Option("--format", help="png, svg or pdf.")] = "png",
    data: DataOption = None,
    backend: BackendOption = "numpy",
) -> None:
    """Draw learning curves, confusion matrix or residuals, and the first layer's weights."""
    from pluggable_mlp.figures.report import figures_of
    from pluggable_mlp.runs.folder import PLOTS
    from pluggable_mlp.runs.predict import load_run

    choose(dict.fromkeys(("png", "svg", "pdf")), form, "format")
    figures = dict(figures_of(load_run(run, backend), data))
    folder = output or run / PLOTS
    with naming(f"--output {folder}"):
        if output is None:
            make_folder(folder)
        else:
            folder.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            place = folder / f"{name}.{form}"
            with whole_file(place) as file:
                figure.savefig(file, format=form, dpi=150)
            typer.echo(place)


def report(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders written by train --output.", metavar="RUN...")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            help="The page to write; by default report.html in the run's folder, for several runs "
            "in the current one.",
        ),
    ] = None,
    data: DataOption = None,
    backend: BackendOption = "numpy",
) -> None:
    """Write one HTML page about runs, which opens without a server or a network."""
    from pluggable_mlp.figures.report import report_page
    from pluggable_mlp.runs.folder import REPORT
    from pluggable_mlp.runs.predict import load_run

    page = report_page([load_run(run, backend) for run in runs], data)
    place = output or (runs[0] if len(runs) == 1 else Path()) / REPORT
    with naming(f"--output {place}"):
        write_file(place, page.encode())
    typer.echo(place)


def verify(
    run: Annotated[
        Path,
        typer.Argument(help="Folder written by train --output, or a certificate.", metavar="RUN"),
    ],
    backend: BackendOption = "numpy",
    data: DataOption = None,
    test: Annotated[
        str | None, typer.Option(help="New path of the data for testing, if --test named them.")
    ] = None,
) -> None:
    """Repeat the training of a certificate; exit 1 if a bit differs.

    For a folder, all its files are checked.
    """
    from pluggable_mlp.arrays.shortcuts import backend_context
    from pluggable_mlp.runs.verify import Verification, read_certificate

    certificate, options = read_certificate(run / "certificate.json" if run.is_dir() else run)
    place = get_backend(backend)
    again = Verification(certificate, options, place, data, test)
    if run.is_dir():
        again.check_files(run)
    if options.arithmetic == "native":
        log(f"A native run has the same bits only on {certificate['made_on']}.")
    total = certificate["epochs"][-1]["epoch"] * again.run.training_examples
    with ending_when_asked() as request, progress_bar(total) as update, backend_context(place):

        def visit(count: int) -> None:
            update(advance=count)
            if request.code is not None:
                raise Interrupted(request.code)

        difference = again.first_difference(visit)
    if difference is not None:
        typer.echo(difference)
        raise typer.Exit(1)
    part = pluralize(len(again.run.history), "epoch")
    if not again.run.is_done:
        part += f" of the {options.epochs} of the settings"
    typer.echo(
        f"same bits: {part} on {again.here} give the certified losses and "
        f"parameters{', which the model holds' if run.is_dir() else ''}, final SHA-256 "
        f"{certificate['final_parameters_sha256']}"
    )
