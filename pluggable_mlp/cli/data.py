"""`pluggable-mlp data`: how a file is prepared for training, or was for a saved run."""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pluggable_mlp.cli.console import saved_input
from pluggable_mlp.cli.options import SuffixOption, with_settings
from pluggable_mlp.files import Json
from pluggable_mlp.options import DataOptions
from pluggable_mlp.wording import aligned

if TYPE_CHECKING:
    from pluggable_mlp.data.preparation import Preparation


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
    folder = Path(file)
    if (folder / "config.json").is_file():
        preparation = _saved(folder, settings)
    else:
        preparation = _fitted(file, suffix, settings)
    rows = [("column", "missing", "range", "becomes")]
    for column, missing, limits, becomes in preparation.describe():
        rows.append((column, str(missing), limits, becomes))
    for line in [*aligned(rows), *preparation.facts()]:
        typer.echo(line)


def _fitted(file: str, suffix: str, settings: Json) -> "Preparation":
    """Return the preparation that training with these settings would fit."""
    from pluggable_mlp.settings import Settings

    with saved_input(file, suffix) as path:
        options = Settings(data=str(path), **settings)
        dataset = options.load_dataset()
    options.for_dataset(dataset)
    assert dataset.preparation is not None  # `load_dataset` fits one
    return dataset.preparation


def _saved(folder: Path, settings: Json) -> "Preparation":
    """Return the preparation of a run; ValueError if settings are given, too."""
    from pluggable_mlp.runs.saved import read_run

    for field in fields(DataOptions):
        value = settings.get(field.name, field.default)
        if value != field.default:
            raise ValueError(f"{field.name} is {value!r}, expected none for {folder}, a run")
    return read_run(folder)[3]
