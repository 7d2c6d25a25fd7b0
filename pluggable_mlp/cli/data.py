"""`pluggable-mlp data`: how a file is prepared for training, or was for a saved run."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer

from pluggable_mlp.cli.console import save_input
from pluggable_mlp.cli.options import SuffixOption, with_settings
from pluggable_mlp.fields import align
from pluggable_mlp.files import Json
from pluggable_mlp.options import DataOptions


@with_settings(DataOptions, without=("data", "block_size"))
def data(
    *,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="Data as for --data of train, - for standard input, or a folder written by train "
            "--output.",
        ),
    ],
    suffix: SuffixOption = ".csv",
    settings: Json,
) -> None:
    """Show how data are prepared: what becomes of each column, the task, the examples."""
    from pluggable_mlp.options import Options
    from pluggable_mlp.plan import Plan, read_data
    from pluggable_mlp.runs.saved import read_run

    folder = Path(file)
    if (folder / "config.json").is_file():
        for field in fields(DataOptions):
            value = settings.get(field.name, field.default)
            if value != field.default:
                raise ValueError(f"{field.name} is {value!r}, expected none for {folder}, a run")
        preparation = read_run(folder)[3]
    else:
        with save_input(file, suffix) as path:
            options = Options(data=str(path), **settings)
            dataset = read_data(options)
        Plan.for_dataset(options, dataset)  # refuses options that do not fit the data
        preparation = dataset.fitted_preparation
    rows = [("column", "missing", "range", "becomes")]
    for column, missing, limits, becomes in preparation.describe():
        rows.append((column, str(missing), limits, becomes))
    for line in [*align(rows), *preparation.facts()]:
        typer.echo(line)
