"""The commands together: every one in a module of its own.

Array libraries are imported by the commands that need them, so that help is quick.
"""

from typing import Annotated

import typer

from pluggable_mlp import __version__
from pluggable_mlp.cli.backends import backends
from pluggable_mlp.cli.compare import compare
from pluggable_mlp.cli.train import train
from pluggable_mlp.cli.use import evaluate, predict
from pluggable_mlp.cli.verify import verify

__all__ = ["app"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="One multilayer perceptron, the same on every array library.",
)


def _show_version(asked: bool) -> None:
    if asked:
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


for command in (train, evaluate, predict, compare, verify, backends):
    app.command()(command)
