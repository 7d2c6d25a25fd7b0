"""Options that several commands share, and how their texts become values."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.network.losses import LOSSES
from pluggable_mlp.network.normalization import NORMALIZATIONS
from pluggable_mlp.registry import listed
from pluggable_mlp.settings import LOSS_OF_TASK, Settings
from pluggable_mlp.training.components import OPTIMIZERS
from pluggable_mlp.training.schedules import SCHEDULES

__all__ = ["BackendOption", "RunArgument", "path", "widths", "with_settings"]

BackendOption = Annotated[
    str, typer.Option(help="Array library and device: numpy, cupy, cupy:1, torch:cuda, jax, …")
]

# What the help says of each setting; parameters that have an option of their own are left out.
_HELP = {
    "data": "Data set: digits (embedded), mnist, fashion-mnist, or a path: mnist.pkl.gz, a folder "
    "of IDX files or with X.npy and y.npy, .npz with X and y, or a table: .csv, .tsv, .parquet, "
    ".feather.",
    "task": f"Task: {', '.join(LOSS_OF_TASK)}; by default determined by the loss or the targets.",
    "target": "Column of a table to predict, by name or by position from 1; several are separated "
    "by commas. By default the last.",
    "scaling": "Scaling of the features, fitted on the training part: standard, minmax, robust or "
    "none; by default standard for tables, unless they hold images of 8-bit "
    "pixels, otherwise none.",
    "target_scaling": "Scaling of the numbers to predict of a regression, in which the loss is "
    "computed: standard, minmax, robust or none; by default standard, for the loss poisson none. "
    "Predictions and errors are in the original units.",
    "test": "Data for testing only, as for --data: their test part, or else all examples. By "
    "default the test part of the data, or --test-share.",
    "test_share": "Share of the data that is held out for testing; 0 to train on all examples. By "
    "default one in seven, unless the data have a test part or there is --test.",
    "validation": "Share of the training part that is held out for validation; by default the "
    "validation part of the data, if there is one.",
    "hidden": "Widths of the hidden layers, such as 256,128; '' for none.",
    "activation": "Activation of the hidden layers, one for all or one per layer, such as "
    f"relu,elu:alpha=0.5: {listed(ACTIVATIONS)}.",
    "dropout": "Probability of dropping an output of a hidden layer.",
    "input_dropout": "Probability of dropping an input.",
    "input_noise": "Standard deviation of the uniform noise that training adds to the prepared "
    "inputs: pixels divided by 256, columns standardized.",
    "norm": f"Normalization of the hidden layers: {listed(NORMALIZATIONS)}.",
    "loss": f"Loss: {listed(LOSSES, leave_out=['label_smoothing'])}; by default "
    f"{', '.join(f'{loss} for {task}' for task, loss in LOSS_OF_TASK.items())}.",
    "label_smoothing": "Share of each target that is spread over all classes.",
    "class_weight": "balanced: weight classes inversely to their frequency.",
    "optimizer": "Optimizer, with parameters after a colon, such as "
    "sgd:momentum=0.9,nesterov=true: "
    f"{listed(OPTIMIZERS, leave_out=['learning_rate', 'weight_decay'])}.",
    "learning_rate": "Learning rate; by default that of the optimizer (sgd: 0.1, regression 0.01).",
    "weight_decay": "Weight decay: decoupled if the optimizer supports it, otherwise L2.",
    "clip_norm": "Maximum norm of all gradients together.",
    "schedule": "Schedule of the learning rate: "
    f"{listed(SCHEDULES, leave_out=['learning_rate', 'total_steps'])}.",
    "warmup": "Number of updates of linear warm-up before the schedule.",
    "batch_size": "Number of examples per update.",
    "micro_batch": "Number of examples of a batch that are computed at once, for batches that do "
    "not fit into the memory; by default all.",
    "block_size": "Number of examples in memory at once, the rest stays in .npy files; 0 for all. "
    "By default all, unless the files take more than a quarter of the memory.",
    "epochs": "Number of passes over the training examples.",
    "early_stopping": "Stop after this many epochs without a lower validation loss, and keep the "
    "best parameters.",
    "dtype": "float32 or float64.",
    "arithmetic": "native (the library's own, fast) or reproducible (the same bits on every "
    "backend).",
    "seed": "Seed of all random numbers.",
}


def path(text: str) -> Path:
    """Return the path; refuse an empty text, which would be the current folder."""
    if not text:
        raise typer.BadParameter("it is empty, expected a path")
    return Path(text)


RunArgument = Annotated[
    Path, typer.Argument(help="Folder written by train --output.", metavar="RUN", parser=path)
]


def with_settings(
    *, without: tuple[str, ...] = (), **defaults: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each of the `Settings`, and pass it their values in a dict.

    The options replace the parameter `settings` of the command, which is to make the `Settings`:
    the values are not yet checked.

    Parameters
    ----------
    without : tuple of str, optional
        Settings that keep their default and have no option.
    **defaults
        Those that are not the defaults of `Settings`.
    """
    options = [
        _option(field.name, field.type, defaults.get(field.name, field.default))
        for field in fields(Settings)
        if field.name not in without
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(**given: Any) -> None:
            values = {option.name: given.pop(option.name) for option in options}
            command(settings=values | {"hidden": widths(values["hidden"])}, **given)

        own = inspect.signature(command).parameters.values()
        shown = [options if one.name == "settings" else [one] for one in own]
        run.__signature__ = inspect.Signature([*chain(*shown)])  # type: ignore[attr-defined]
        return run

    return decorate


def _option(name: str, kind: Any, default: Any) -> inspect.Parameter:
    """Return the parameter of a command that is the option of a setting."""
    if name == "hidden":
        kind, default = str, ",".join(map(str, default))
    option = Annotated[kind, typer.Option(help=_HELP[name])]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=option
    )


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
