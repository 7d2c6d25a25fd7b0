"""`pluggable-mlp evaluate` and `predict`: what a saved run is good for."""

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, TextIO

import typer

from pluggable_mlp.cli.options import RunArgument, path
from pluggable_mlp.storage import to_json

__all__ = ["evaluate", "predict"]


def evaluate(
    run: RunArgument,
    data: Annotated[
        str | None, typer.Option(help="As for train; by default what the run was trained on.")
    ] = None,
    backend: Annotated[str, typer.Option(help="As for train.")] = "numpy",
) -> None:
    """Measure a saved run on the test part of its data, or on other data.

    Of other data their own test part is measured, as of mnist or an .npz with X_test and y_test;
    all examples of a file that has none.
    """
    from pluggable_mlp.backends import get_backend
    from pluggable_mlp.predictions import measured_examples
    from pluggable_mlp.runs import load_run
    from pluggable_mlp.training.loop import evaluate as measure

    place = get_backend(backend)
    saved = load_run(run, place)
    examples = measured_examples(saved, data, place)
    measured = measure(
        saved.mlp,
        saved.parameters,
        examples,
        backend=place,
        arithmetic=saved.settings.arithmetic,
    )
    typer.echo(to_json({"examples": len(examples), **measured}))


def predict(
    run: RunArgument,
    inputs: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            parser=path,
            help="Examples without targets: .npy, .npz with X, .csv, or a file of IDX images.",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(help="A .csv file; by default standard output.", parser=path)
    ] = None,
    backend: Annotated[str, typer.Option(help="As for train.")] = "numpy",
) -> None:
    """Predict for every example: its class with the probability of each, its labels, or numbers."""
    from pluggable_mlp.backends import get_backend
    from pluggable_mlp.predictions import predict_rows, prediction_header
    from pluggable_mlp.runs import load_run

    place = get_backend(backend)
    saved = load_run(run, place)
    rows = predict_rows(saved, inputs, place)
    with nullcontext(sys.stdout) if output is None else _opened(output) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(prediction_header(saved.schema))
        table.writerows(rows)


@contextmanager
def _opened(output: Path) -> Iterator[TextIO]:
    """Give a file of predictions, open.

    Raises
    ------
    ValueError
        If it cannot be written, from the first byte to the last.
    """
    try:
        with output.open("w", newline="", encoding="utf-8") as file:
            yield file
    except OSError as error:
        raise ValueError(
            f"--output {output} cannot be written: {error.strerror}; name a file in a folder "
            "where you may write"
        ) from None
