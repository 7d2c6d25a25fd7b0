"""`pluggable-mlp verify`: train again elsewhere, and say whether every bit is the same."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from pluggable_mlp.cli.options import BackendOption

__all__ = ["verify"]


def verify(
    certificate: Annotated[Path, typer.Argument(help="RUN/certificate.json of train --output.")],
    backend: BackendOption = "numpy",
    data: Annotated[
        str | None, typer.Option(help="Where the same data are here; by default as certified.")
    ] = None,
) -> None:
    """Train again and compare with a certificate; exit 1 if a bit differs."""
    from pluggable_mlp.backends import get_backend
    from pluggable_mlp.certificates import read_certificate, verify_epochs
    from pluggable_mlp.cli.interrupts import ending_when_asked
    from pluggable_mlp.cli.progress import training_progress
    from pluggable_mlp.runs import Run

    content, settings = read_certificate(certificate)
    place = get_backend(backend)
    run = Run(settings if data is None else replace(settings, data=data), place)
    total = len(content["epochs"]) * run.training_examples
    difference = None
    with ending_when_asked() as request, training_progress(total, request) as on_batch:
        for difference in verify_epochs(content, run, on_batch):
            if difference is not None:
                break
    if difference is not None:
        typer.echo(
            f"differs at epoch {difference.epoch} in {difference.what}: certified "
            f"{difference.certified}, {place.name} on {place.device} computed "
            f"{difference.computed}"
        )
        raise typer.Exit(1)
    typer.echo(
        f"same bits: {len(run.history)} epochs on {place.name} ({place.device}) give the "
        f"certified losses and parameters, final SHA-256 {run.history[-1]['parameters_sha256']}"
    )
