"""`pluggable-mlp verify`: train again elsewhere, and say whether every bit is the same."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pluggable_mlp.cli.options import BackendOption, path
from pluggable_mlp.cli.streams import counted, tell
from pluggable_mlp.settings import Settings

if TYPE_CHECKING:
    from pluggable_mlp.backends import Backend
    from pluggable_mlp.runs import Run
    from pluggable_mlp.verifying import Difference

__all__ = ["verify"]


_NATIVE = (
    "The certificate is of a native run: its bits are promised on the same machine and versions "
    "alone, {}."
)


def verify(
    run: Annotated[
        Path,
        typer.Argument(
            help="Folder written by train --output, or a certificate.", metavar="RUN", parser=path
        ),
    ],
    backend: BackendOption = "numpy",
    data: Annotated[
        str | None, typer.Option(help="Path of the same data; by default as in the certificate.")
    ] = None,
    test: Annotated[
        str | None, typer.Option(help="Path of the same data for testing, where they were named.")
    ] = None,
    step: Annotated[
        int | None,
        typer.Option(
            "--from",
            help="Repeat only what follows this step, from a checkpoint of the run that holds the "
            "state after it.",
        ),
    ] = None,
) -> None:
    """Repeat the training of a certificate; exit 1 if a bit differs.

    Of a folder all files of the run are checked, beside a certificate its model and config.json.
    """
    from pluggable_mlp.backends import get_backend
    from pluggable_mlp.certificates import read_certificate, refuse_other_records
    from pluggable_mlp.folders import settle
    from pluggable_mlp.verifying import (
        check_data,
        check_files,
        difference_of_measures,
        go_on_from_step,
    )

    file = run / "certificate.json" if run.is_dir() else run
    settle(file.parent)
    certificate, settings = read_certificate(file)
    place = get_backend(backend)
    again = _repeated(settings, data, test, place)
    check_data(certificate, again)
    refuse_other_records(certificate, again)
    has_model = check_files(certificate, again, file.parent, whole=run.is_dir())
    if settings.arithmetic == "native":
        tell(_NATIVE.format(certificate["made_on"]))
    if step is not None:
        go_on_from_step(certificate, again, file.parent, step)
    difference = _first_difference(certificate, again)
    if difference is None and run.is_dir():
        difference = difference_of_measures(again, run)
    here = f"{place.name} ({place.device}) in {settings.arithmetic} arithmetic"
    if difference is not None:
        typer.echo(_in_words(difference, here))
        raise typer.Exit(1)
    typer.echo(
        f"same bits: {_repeated_part(again, step)} on {here} give the certified losses and "
        f"parameters{', which the model holds' if has_model else ''}, final SHA-256 "
        f"{certificate['final_parameters_sha256']}"
    )


def _in_words(difference: "Difference", here: str) -> str:
    known = f"; {difference.known}" if difference.known else ""
    return (
        f"the run differs at {difference.place}: {difference.said} {difference.certified}, on "
        f"{here} {difference.computed}{known}"
    )


def _repeated_part(run: "Run", step: int | None) -> str:
    """Return the words for what was trained again, from a step if one is given."""
    count = len(run.history)
    part = counted(count, "epoch") if step is None else f"step {step} to the end of epoch {count}"
    return part if run.is_done else f"{part} of the {run.settings.epochs} of the settings"


def _repeated(settings: Settings, data: str | None, test: str | None, backend: "Backend") -> "Run":
    """Return the run of a certificate, not yet trained, with the data where they are now."""
    from pluggable_mlp.data.dataset import DataError, told_already
    from pluggable_mlp.runs import Run

    settings = replace(settings, data=data or settings.data, test=test or settings.test)
    try:
        with told_already():
            return Run(settings, backend)
    except DataError as error:
        is_named = data is not None and (settings.test is None or test is not None)
        raise (error if is_named else error.or_else(settings.where_data_are)) from None


def _first_difference(certificate: dict[str, Any], run: "Run") -> "Difference | None":
    """Train with a progress bar, to the end or to the first departure from the certificate."""
    from pluggable_mlp.cli.interrupts import ending_when_asked
    from pluggable_mlp.cli.progress import training_bar
    from pluggable_mlp.verifying import first_difference

    total = certificate["epochs"][-1]["epoch"] * run.training_examples
    with ending_when_asked() as request, training_bar(total, request) as bar:
        bar(run.examples_done)
        return first_difference(certificate, run, bar)
