"""The application: all commands, most of them in files beside this one.

Array libraries are imported by the commands that need them, so that help is quick.
"""

from typing import Annotated

import typer
from typer.core import TyperGroup
from typer.main import get_group

from pluggable_mlp import __version__
from pluggable_mlp.cli.backends import backends, check, compare
from pluggable_mlp.cli.data import data
from pluggable_mlp.cli.saved import evaluate, export, plot, predict, report, verify
from pluggable_mlp.cli.train import train

app: typer.Typer = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Train and use multilayer perceptrons on any array library.",
)


def _show_version(is_set: bool) -> None:
    if is_set:
        typer.echo(f"pluggable-mlp {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", is_eager=True, callback=_show_version
        ),
    ] = False,
) -> None: ...


for _command in (
    train, data, evaluate, predict, export, plot, report, compare, verify, backends, check,
):  # fmt: skip
    app.command()(_command)

program: TyperGroup = get_group(app)
"""The function that runs the commands."""
