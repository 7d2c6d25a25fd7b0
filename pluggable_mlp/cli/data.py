"""`pluggable-mlp data`: how a file is prepared for training, or how that of a saved run was."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pluggable_mlp.cli.console import saved_input
from pluggable_mlp.cli.options import SuffixOption, with_settings
from pluggable_mlp.fields import fields_of
from pluggable_mlp.options import Options

if TYPE_CHECKING:
    from pluggable_mlp.data.preparation import Preparation

_OPTIONS = (
    "task",
    "target",
    "header",
    "encoding",
    "decimal",
    "scaling",
    "target_scaling",
    "test",
    "test_share",
    "validation",
    "recipe",
    "seed",
)
_SETTINGS = fields_of(Options)


@with_settings(without=tuple(name for name in _SETTINGS if name not in _OPTIONS))
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
    settings: dict[str, Any],
) -> None:
    """Show how data are prepared: what becomes of each column, the task, the examples."""
    from pluggable_mlp.wording import aligned

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


def _fitted(file: str, suffix: str, settings: dict[str, Any]) -> "Preparation":
    """Return the preparation that training with these settings would fit."""
    from pluggable_mlp.settings import Settings

    with saved_input(file, suffix) as named:
        asked = Settings(data=str(named), **settings)
        dataset = asked.load_dataset()
    asked.for_dataset(dataset)
    assert dataset.preparation is not None  # `load_dataset` fits one
    return dataset.preparation


def _saved(folder: Path, settings: dict[str, Any]) -> "Preparation":
    """Return the preparation of a run; ValueError where settings of another one are given."""
    from pluggable_mlp.runs.saved import read_settings, read_summary

    for name, value in settings.items():
        if value != _SETTINGS[name].default:
            raise ValueError(
                f"--{name.replace('_', '-')} is {value!r}, expected none for {folder}, a run"
            )
    config, _, preparation = read_settings(folder / "config.json")
    if (folder / "summary.json").exists():
        read_summary(folder, config)
    return preparation
