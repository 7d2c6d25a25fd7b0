"""Commands on backends: list them, check one against its contract, compare several."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from pluggable_mlp.backends import available_backends, get_backend
from pluggable_mlp.cli.options import with_settings
from pluggable_mlp.files import Json
from pluggable_mlp.wording import aligned

if TYPE_CHECKING:
    from pluggable_mlp.consistency.report import Report
    from pluggable_mlp.settings import Settings


def backends() -> None:
    """List the available backends, and why the others are not available."""
    rows = [("backend", "here", "version", "devices, or why not")]
    for status in available_backends():
        if status.available:
            detail = ", ".join(status.devices) if status.devices else "installed, not yet imported"
        else:
            detail = f"{status.reason}; {status.remedy}"
        available = "yes" if status.available else "no"
        rows.append((status.name, available, status.version or "", detail))
    typer.echo("\n".join(aligned(rows)))


def check(
    backend: Annotated[
        str, typer.Argument(metavar="NAME", help="A backend, as for --backend of train.")
    ],
) -> None:
    """Check a backend against its contract, and grade it; exit 1 if a check fails.

    The grades are "runs", "agrees within bounds" and "same bits as the recordings".  The checks
    take from seconds to minutes.
    """
    from pluggable_mlp.testing.conformance import ConformanceReport, line_of, results_of

    tested = get_backend(backend)
    results = []
    for result in results_of(tested, {}):
        typer.echo(line_of(result))
        results.append(result)
    report = ConformanceReport.of(tested, results)
    typer.echo("\n".join(["", *report.conclusion()]))
    raise typer.Exit(1 if report.faults else 0)


@with_settings(without=("epochs", "block_size", "micro_batch"), batch_size=128)
def compare(
    *,
    backends: Annotated[
        str, typer.Option(help="Two or more, separated by commas; the first is the reference.")
    ],
    settings: Json,
    steps: Annotated[
        int,
        typer.Option(help="Number of training steps.", min=1),
    ] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare training steps on several backends; exit 1 if they disagree.

    With native arithmetic, each row shows for a tensor the largest difference from the first
    backend, in ulps and relative to the bound on rounding errors, and the smallest relative fault
    that would have been detected.  With reproducible arithmetic, the result is a hash per tensor,
    and "same bits" or the first step, layer and tensor that differ.
    """
    from pluggable_mlp.consistency.report import format_report
    from pluggable_mlp.settings import Settings

    report = _compared(Settings(**settings), backends.split(","), steps)
    typer.echo(json.dumps(report.to_dict(), indent=2) if as_json else format_report(report))
    raise typer.Exit(0 if report.passes else 1)


def _compared(settings: "Settings", specs: list[str], steps: int) -> "Report":
    """Return the report on training steps with these settings, on backends given by name."""
    from pluggable_mlp.consistency.compare import compare as compare_backends

    backends = [get_backend(spec.strip()) for spec in specs]
    dataset = replace(settings, block_size=0).load_dataset()
    examples = dataset.train.inputs.shape[0]
    settings = settings.for_dataset(dataset)
    # A schedule ends with the epoch of the last step.
    epochs = max(1, -(-steps // settings.steps_per_epoch(examples)))
    settings = replace(settings, epochs=epochs)
    assert dataset.preparation is not None  # `load_dataset` fits one
    mlp = settings.make_mlp(dataset.preparation.form, dataset.outputs)
    return compare_backends(
        backends,
        settings.scheduled(mlp, examples),
        *dataset.train,
        scale=dataset.scale,
        class_weight=settings.class_weight,
        optimizer=settings.make_optimizer(examples, mlp),
        dtype=settings.dtype,
        arithmetic=settings.arithmetic,
        batch_size=settings.batch_size,
        steps=steps,
        seed=settings.seed,
    )
