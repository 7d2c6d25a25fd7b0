"""`pluggable-mlp check`: does a backend do what its contract says?"""

from typing import Annotated

import typer


def check(
    backend: Annotated[
        str, typer.Argument(metavar="NAME", help="A backend, as for --backend of train.")
    ],
) -> None:
    """Check a backend against its contract, and grade it; exit 1 if a check fails.

    The grades are "runs", "agrees within bounds" and "same bits as the recordings".  The checks
    take from seconds to minutes.
    """
    from pluggable_mlp.backends import get_backend
    from pluggable_mlp.testing.conformance import ConformanceReport, line_of, results_of

    made = get_backend(backend)
    results = []
    for result in results_of(made, {}):
        typer.echo(line_of(result))
        results.append(result)
    report = ConformanceReport.of(made, results)
    typer.echo("\n".join(["", *report.conclusion()]))
    raise typer.Exit(1 if report.faults else 0)
