"""Options that several commands share, and how their texts become values."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "ActivationOption",
    "ArithmeticOption",
    "BackendOption",
    "BatchSizeOption",
    "ClassWeightOption",
    "ClipNormOption",
    "DataOption",
    "DropoutOption",
    "DtypeOption",
    "HiddenOption",
    "LabelSmoothingOption",
    "LearningRateOption",
    "NormOption",
    "OptimizerOption",
    "RunArgument",
    "ScheduleOption",
    "SeedOption",
    "WarmupOption",
    "WeightDecayOption",
    "path",
    "widths",
]

BackendOption = Annotated[
    str, typer.Option(help="Array library and device: numpy, cupy, cupy:1, torch:cuda, jax, …")
]
DataOption = Annotated[
    str,
    typer.Option(
        help="digits (embedded), mnist, fashion-mnist, or a path: mnist.pkl.gz, a folder of IDX "
        "files, .npz with X and y, .csv with the label in the last column."
    ),
]
ArithmeticOption = Annotated[
    str,
    typer.Option(
        help="How to round: native (the library's way, fast) or reproducible (the same bits on "
        "every backend)."
    ),
]
HiddenOption = Annotated[
    str, typer.Option(help="Widths of the hidden layers: 100 or 256,128; '' for none.")
]
ActivationOption = Annotated[
    str,
    typer.Option(
        help="Of the hidden layers, one for all or one for each: identity, sigmoid, tanh, relu, "
        "leaky_relu:slope=0.01, elu:alpha=1, gelu, gelu_tanh, silu, softplus."
    ),
]
DropoutOption = Annotated[
    float, typer.Option(help="Probability of dropping an output of a hidden layer.")
]
NormOption = Annotated[
    str | None, typer.Option(help="Normalization of the hidden layers: layer or batch.")
]
LabelSmoothingOption = Annotated[
    float, typer.Option(help="Part of each target that is spread over all classes.")
]
ClassWeightOption = Annotated[
    str | None, typer.Option(help="balanced: rare classes count as much as frequent ones.")
]
OptimizerOption = Annotated[
    str,
    typer.Option(
        help="sgd, rmsprop, adam, adamw, lion, muon, lbfgs; with parameters after a colon: "
        "sgd:momentum=0.9,nesterov=true."
    ),
]
LearningRateOption = Annotated[
    float | None, typer.Option(help="Step size; by default the optimizer's own.")
]
WeightDecayOption = Annotated[
    float | None, typer.Option(help="Decoupled where the optimizer has it so, else L2.")
]
ClipNormOption = Annotated[
    float | None, typer.Option(help="Largest norm of all gradients together.")
]
ScheduleOption = Annotated[
    str | None,
    typer.Option(
        help="Of the learning rate: constant, step:every=100, exponential, inverse_scaling, "
        "cosine, one_cycle, plateau."
    ),
]
WarmupOption = Annotated[int, typer.Option(help="Steps of linear warm-up before the schedule.")]
BatchSizeOption = Annotated[int, typer.Option(help="Examples a step.")]
DtypeOption = Annotated[str, typer.Option(help="float32 or float64.")]
SeedOption = Annotated[int, typer.Option(help="Of the initial parameters and the shuffles.")]


def path(text: str) -> Path:
    """Return the path; refuse an empty text, which would be the current folder."""
    if not text:
        raise typer.BadParameter("it is empty, expected a path")
    return Path(text)


RunArgument = Annotated[
    Path, typer.Argument(help="A folder written by train --output.", parser=path)
]


def widths(text: str) -> tuple[int, ...]:
    """Return the hidden layers' widths of "256,128"; none for an empty text.

    Raises
    ------
    ValueError
        If a part is not a positive integer.
    """
    try:
        values = tuple(int(part) for part in text.split(",")) if text.strip() else ()
    except ValueError:
        values = (0,)
    if not all(value >= 1 for value in values):
        raise ValueError(f"--hidden is {text!r}, expected widths such as 100 or 256,128")
    return values
