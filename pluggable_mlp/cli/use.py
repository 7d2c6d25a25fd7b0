"""`pluggable-mlp evaluate` and `predict`: what a saved run is good for."""

import csv
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from pluggable_mlp.cli.interrupts import removed_at_end
from pluggable_mlp.cli.options import RunArgument, path
from pluggable_mlp.cli.standard_input import saved_input
from pluggable_mlp.storage import to_json

if TYPE_CHECKING:
    from pluggable_mlp.data.schema import Schema

__all__ = ["evaluate", "predict"]


def evaluate(
    run: RunArgument,
    data: Annotated[
        str | None,
        typer.Option(help="As for train, or - for standard input; by default the data of the run."),
    ] = None,
    backend: Annotated[str, typer.Option(help="As for train.")] = "numpy",
) -> None:
    """Evaluate a saved run on the test part of its data, or on other data.

    If other data have a test part, such as mnist or an .npz with X_test and y_test, only that part
    is used, otherwise all examples.
    """
    from pluggable_mlp.backends import get_backend
    from pluggable_mlp.predictions import measured_examples
    from pluggable_mlp.saved_runs import load_run
    from pluggable_mlp.scores import measure

    place = get_backend(backend)
    saved = load_run(run, place)
    with saved_input(data) as named:
        examples = measured_examples(saved, named, place)
    measured = measure(
        saved.mlp,
        saved.parameters,
        examples,
        backend=place,
        arithmetic=saved.settings.arithmetic,
        units=saved.schema.target_units,
    )
    typer.echo(to_json({"examples": len(examples), **measured}))


def predict(
    run: RunArgument,
    inputs: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            parser=path,
            help="Examples without targets: .npy, .npz with X, a table, a file of IDX images, or "
            "- for standard input.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            help="File to write: .csv, or .npy for only the predictions; by default CSV on "
            "standard output.",
            parser=path,
        ),
    ] = None,
    backend: Annotated[str, typer.Option(help="As for train.")] = "numpy",
) -> None:
    """Predict classes with their probabilities, labels with their probabilities, or numbers."""
    from pluggable_mlp.backends import get_backend
    from pluggable_mlp.predictions import predict_rows
    from pluggable_mlp.saved_runs import load_run

    place = get_backend(backend)
    saved = load_run(run, place)
    with saved_input(str(inputs)) as named:
        rows = predict_rows(saved, Path(str(named)), place)
        if output is not None and output.suffix.lower() == ".npy":
            _save_array(output, saved.schema, rows)
        else:
            _write_table(output, saved.schema, rows)


def _write_table(output: Path | None, schema: "Schema", rows: Iterator[list[Any]]) -> None:
    """Write predictions as CSV, as they come."""
    from pluggable_mlp.predictions import prediction_header

    with nullcontext(sys.stdout) if output is None else _written_to(output) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(prediction_header(schema))
        table.writerows(rows)


def _save_array(output: Path, schema: "Schema", rows: Iterator[list[Any]]) -> None:
    """Write the predictions alone as an array."""
    import numpy as np

    from pluggable_mlp.predictions import predictions_alone
    from pluggable_mlp.storage import write_file

    content = io.BytesIO()
    np.save(content, predictions_alone(schema, rows))
    with _named(output):
        write_file(output, content.getvalue())


@contextmanager
def _written_to(output: Path) -> Iterator[TextIO]:
    """Give a file of predictions, open: a device or a pipe, or one that is whole in the end."""
    from pluggable_mlp.storage import part_of, whole_file

    in_place = output.exists() and not output.is_file()
    with _named(output):
        path = output.resolve()
        opened = output.open("wb") if in_place else whole_file(path)
        with removed_at_end(part_of(path)), opened as binary:
            file = io.TextIOWrapper(binary, "utf-8", newline="")
            try:
                yield file
            finally:
                file.detach()


@contextmanager
def _named(output: Path) -> Iterator[None]:
    """Turn what goes wrong with a file of predictions into a ValueError that names it."""
    try:
        yield
    except OSError as error:
        raise ValueError(
            f"--output {output} cannot be written: {error.strerror}; name a file in a folder "
            "where you may write"
        ) from None
