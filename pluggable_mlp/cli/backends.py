"""Commands on backends: list them, check one against its contract, compare several."""

from dataclasses import replace
from typing import Annotated

import typer

from pluggable_mlp.backends import available_backends, get_backend
from pluggable_mlp.cli.options import with_settings
from pluggable_mlp.fields import align
from pluggable_mlp.files import Json, to_json


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
    typer.echo("\n".join(align(rows)))


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
    typer.echo(f"\ngrade: {report.grade}")
    raise typer.Exit(1 if report.faults else 0)


@with_settings(without=("epochs", "block_size", "micro_batch"), batch_size=128)
def compare(
    *,
    backends: Annotated[
        str, typer.Option(help="Two or more, separated by commas; the first is the reference.")
    ],
    settings: Json,
    steps: Annotated[int, typer.Option(help="Number of training steps.", min=1)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare training steps on several backends; exit 1 if they disagree.

    With native arithmetic, each row shows for a tensor the largest difference from the first
    backend, in ulps and relative to the bound on rounding errors, and the smallest relative fault
    that would have been detected.  With reproducible arithmetic, the result is a hash per tensor,
    and "same bits" or the first step, layer and tensor that differ.
    """
    from pluggable_mlp.consistency.compare import compare as compare_backends
    from pluggable_mlp.consistency.report import format_report
    from pluggable_mlp.options import Options
    from pluggable_mlp.plan import Plan, read_data

    places = [get_backend(spec.strip()) for spec in backends.split(",")]
    options = Options(**settings, block_size=0)
    dataset = read_data(options)
    plan = Plan.for_dataset(options, dataset)
    # A schedule ends with the epoch of the last step.
    options = replace(plan.options, epochs=max(1, -(-steps // plan.steps_per_epoch)))
    plan = Plan.read(options, dataset.fitted_preparation)
    report = compare_backends(
        places,
        plan.trained_mlp,
        *dataset.train,
        scale=dataset.scale,
        class_weight=options.class_weight,
        optimizer=plan.optimizer,
        dtype=options.dtype,
        arithmetic=options.arithmetic,
        batch_size=plan.batch_size,
        steps=steps,
        seed=options.seed,
    )
    typer.echo(to_json(report.to_dict(), indent=2) if as_json else format_report(report))
    raise typer.Exit(0 if report.passes else 1)
