"""`pluggable-mlp compare`: do several backends agree, and where do they first differ?"""

import json
from typing import Annotated

import typer

from pluggable_mlp.cli.options import (
    ActivationOption,
    ArithmeticOption,
    DataOption,
    DtypeOption,
    HiddenOption,
    SeedOption,
    widths,
)
from pluggable_mlp.settings import Settings

__all__ = ["compare"]


def compare(
    backends: Annotated[
        str, typer.Option(help="Two or more, separated by commas; the first is the reference.")
    ],
    data: DataOption = Settings.data,
    hidden: HiddenOption = "100",
    activation: ActivationOption = Settings.activation,
    dtype: DtypeOption = Settings.dtype,
    arithmetic: ArithmeticOption = Settings.arithmetic,
    batch_size: Annotated[int, typer.Option(help="Examples a step.")] = 128,
    steps: Annotated[int, typer.Option(help="How many steps of gradient descent.")] = 20,
    seed: SeedOption = Settings.seed,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Compare losses and gradients of several backends; exit 1 where they disagree.

    Native: a row a tensor, the largest difference to the first backend in ulps and as a part of
    the bound of rounding errors.  Any other arithmetic: a hash a tensor, and the same bits, or
    the first step, layer and tensor that differ.
    """
    from pluggable_mlp.backends import get_backend
    from pluggable_mlp.consistency import compare as compare_backends
    from pluggable_mlp.consistency import format_report
    from pluggable_mlp.data import load_dataset

    settings = Settings(
        data=data,
        hidden=widths(hidden),
        activation=activation,
        dtype=dtype,
        arithmetic=arithmetic,
        seed=seed,
    )
    places = [get_backend(spec.strip()) for spec in backends.split(",")]
    dataset = load_dataset(settings.data, settings.seed)
    report = compare_backends(
        places,
        settings.make_mlp(dataset.train_inputs.shape[1], dataset.classes),
        dataset.train_inputs,
        dataset.train_labels,
        scale=dataset.scale,
        dtype=settings.dtype,
        arithmetic=settings.arithmetic,
        batch_size=batch_size,
        steps=steps,
        seed=settings.seed,
    )
    typer.echo(json.dumps(report.to_dict(), indent=2) if as_json else format_report(report))
    raise typer.Exit(0 if report.passes else 1)
