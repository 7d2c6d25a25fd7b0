"""The options of a training run, an annotated line each: type, bounds, default and help.

The command line, TOML files, `config.json`, errors and docs are generated from them; `plan.py` has
what holds for a training, of which they are a part.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from msgspec import Meta

from pluggable_mlp.fields import (
    BelowOne,
    Count,
    NonNegative,
    PositiveCount,
    as_seed,
    catalogue,
    check_fields,
    make,
)
from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.network.feature_layers import NORMALIZATIONS
from pluggable_mlp.network.losses import LOSSES
from pluggable_mlp.training.components import OPTIMIZERS
from pluggable_mlp.training.metrics import METRICS, check_metric
from pluggable_mlp.training.recipes import DEFAULT, NONE, RECIPES, Facts
from pluggable_mlp.training.schedules import SCHEDULES

_Off = Literal["none"]
(OFF,) = get_args(_Off)
"""The value that switches off a option for which a recipe may have a value."""
LOSS_OF_TASK = {
    "classification": "softmax_cross_entropy",
    "multilabel": "sigmoid_cross_entropy",
    "regression": "squared_error",
}
"""The loss of each task, unless one is given."""
OFTEN_USED = ("data", "target", "recipe", "hidden", "epochs")
"""The options that `--help` lists first."""
GROUPS = {"data": "Data", "hidden": "Network", "optimizer": "Training"}
"""The groups of the others, each by the option with which it begins."""
TASK_OF_TARGETS = {
    "classes": "classification",
    "labels": "multilabel",
    "numbers": "regression",
    "counts": "regression",
}
"""The task of the losses whose targets are of a kind."""
_PLAIN = RECIPES[NONE].values(Facts("classification", rows=1))


def format_value(value: object) -> str:
    """Return a value as written on the command line, with lists separated by commas."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _default(name: str) -> str:
    """Return the text for the default of a setting whose value recipes determine."""
    return f"; by default the recipe's, else {format_value(_PLAIN[name])}"


@dataclass(frozen=True)
class DataOptions:
    """Which data are read, and how they are divided and prepared."""

    # fmt: off
    data: Annotated[str,
        "Data set: digits (embedded), mnist, fashion-mnist, or a path: mnist.pkl.gz, a folder of "
        "IDX files or with X.npy and y.npy, .npz with X and y, or a table: .csv, .tsv, .parquet, "
        ".feather."] = "digits"
    task: Annotated[Literal["classification", "multilabel", "regression"] | None,
        f"Task: {', '.join(LOSS_OF_TASK)}; by default determined by the loss or the "
        "targets."] = None
    target: Annotated[str | None,
        "Column of a table to predict, by name or by position from 1; several are separated by "
        "commas. By default the last."] = None
    header: Annotated[Literal["yes", "no"] | None,
        "Whether the first line of a .csv or .tsv names the columns: yes or no; by default it does "
        "if none of its fields is a number or missing."] = None
    encoding: Annotated[str | None,
        "Encoding of a .csv or .tsv, such as latin-1; by default UTF-8."] = None
    decimal: Annotated[Literal["point", "comma"],
        "Decimal mark of the numbers in a .csv or .tsv."] = "point"
    scaling: Annotated[
        Literal["standard", "minmax", "robust", "smooth_clip", "quantile", "pixels", "none"] | None,
        "Scaling of the features, fitted on the training part: standard, minmax, robust, "
        "smooth_clip, quantile, pixels (whole numbers from 0 to 255) or none; by default the "
        "recipe's, else standard for tables and none for arrays."] = None
    target_scaling: Annotated[Literal["standard", "minmax", "robust", "none"] | None,
        "Scaling of the targets of a regression, in which the loss is computed: standard, minmax, "
        "robust or none; by default standard, for the loss poisson none. Predictions and errors "
        "are in the original units."] = None
    test: Annotated[str | None,
        "Other data for testing, as for --data: their test part, if they have one, else all "
        "examples."] = None
    test_share: Annotated[BelowOne | None,
        "Share of the data to hold out for testing, or 0 to train on all examples; by default one "
        "seventh, unless the data have a test part or --test is given."] = None
    validation: Annotated[BelowOne | None,
        "Share of the training part to hold out for validation; by default the validation part of "
        "the data, else the recipe's share."] = None
    validation_by: Annotated[str | None,
        "Column of a table, by name or position: rows with the same value in it stay together in "
        "the training, validation or test part; it is not a feature. By default rows are drawn "
        "one by one, stratified by class."] = None
    recipe: Annotated[str | None,
        "Published recipe, whose values other options replace: "
        f"{catalogue(RECIPES, leave_out=[NONE])}. By default {DEFAULT} for tables, "
        "otherwise none."] = None
    block_size: Annotated[Count | None,
        "Number of examples whose features are in memory at once; the rest stays in .npy files, or "
        "as codes of a table. 0 for all; by default all, unless they take more than 1 GiB."] = None
    seed: Annotated[Count, "Seed of all random numbers."] = 0
    # fmt: on


@dataclass(frozen=True)
class Options(DataOptions):
    """What was asked of a training; `pluggable-mlp train --help` explains each option.

    Components are given by name, with parameters after a colon: "leaky_relu:slope=0.2".  None
    stands for an option that was not given, "none" switches off clip_norm, schedule and
    early_stopping.

    Raises
    ------
    ValueError
        If a value is out of range, or the recipe, the loss or the metric is unknown; the message
        names it.
    """

    # fmt: off
    hidden: Annotated[tuple[PositiveCount, ...] | None,
        "Widths of the hidden layers, such as 256,128; '' for none"
        f"{_default('hidden')}."] = None
    activation: Annotated[str | None,
        "Activation of the hidden layers, one for all or one per layer, such as "
        f"relu,elu:alpha=0.5: {catalogue(ACTIVATIONS)}{_default('activation')}."] = None
    dropout: Annotated[BelowOne | None,
        "Probability of dropping an output of a hidden layer"
        f"{_default('dropout')}."] = None
    input_dropout: Annotated[BelowOne, "Probability of dropping an input."] = 0.0
    input_noise: Annotated[NonNegative,
        "Standard deviation of the uniform noise that training adds to the prepared inputs: pixels "
        "divided by 256, columns standardized."] = 0.0
    norm: Annotated[str | None,
        f"Normalization of the hidden layers: {catalogue(NORMALIZATIONS)}."] = None
    loss: Annotated[str | None,
        f"Loss: {catalogue(LOSSES, leave_out=['label_smoothing'])}; by default "
        f"{', '.join(f'{loss} for {task}' for task, loss in LOSS_OF_TASK.items())}."] = None
    label_smoothing: Annotated[BelowOne | None,
        "Share of each target that is spread over all classes"
        f"{_default('label_smoothing')}."] = None
    class_weight: Annotated[Literal["balanced"] | None,
        "balanced: weight classes inversely to their frequency."] = None
    optimizer: Annotated[str | None,
        "Optimizer, with parameters after a colon, such as sgd:momentum=0.9,nesterov=true: "
        f"{catalogue(OPTIMIZERS, leave_out=['learning_rate', 'weight_decay'])}"
        f"{_default('optimizer')}."] = None
    learning_rate: Annotated[NonNegative | None,
        "Learning rate; by default the recipe's with its optimizer, otherwise that of the "
        "optimizer (sgd: 0.1, regression 0.01)."] = None
    weight_decay: Annotated[NonNegative | None,
        "Weight decay, decoupled or L2 as in the optimizer or the recipe; by default the recipe's "
        "with its optimizer, otherwise that of the optimizer."] = None
    clip_norm: Annotated[Annotated[float, Meta(ge=1e-30)] | _Off | None,
        "Maximum norm of all gradients together, or none; by default the recipe's with its "
        "optimizer, otherwise none."] = None
    schedule: Annotated[str | None,
        "Schedule of the learning rate: "
        f"{catalogue(SCHEDULES, leave_out=['learning_rate', 'total_steps'])}; or none, as "
        "constant. By default the recipe's with its optimizer, otherwise none."] = None
    warmup: Annotated[Count,
        "Number of updates of linear warm-up before the schedule."] = 0
    batch_size: Annotated[PositiveCount | None,
        f"Number of examples per update{_default('batch_size')}."] = None
    micro_batch: Annotated[PositiveCount | None,
        "Number of examples of a batch to compute at once, if a batch does not fit into memory; by "
        "default all."] = None
    epochs: Annotated[PositiveCount | None,
        f"Number of passes over the training examples{_default('epochs')}."] = None
    metric: Annotated[str | None,
        "Measure of the validation part that chooses the best epoch, with a recipe or "
        f"--early-stopping, and that is printed first: {', '.join(METRICS)}. By default the "
        "loss; with a recipe for classes, accuracy. With log_loss and roc_auc, recipes do not "
        "smooth labels."] = None
    early_stopping: Annotated[PositiveCount | _Off | None,
        "Stop after this many epochs in which neither the metric improved nor, at the same metric, "
        "the validation loss, and keep the best parameters; or none, to train for all epochs. By "
        "default the recipe's, otherwise none."] = None
    dtype: Annotated[Literal["float32", "float64"], "float32 or float64."] = "float32"
    arithmetic: Annotated[Literal["native", "reproducible"],
        "native (the library's own, fast) or reproducible (the same bits on every "
        "backend)."] = "native"
    # fmt: on

    def __post_init__(self) -> None:
        check_fields(self)
        as_seed(self.seed)
        make(RECIPES, self.recipe or NONE, "recipe")
        if self.metric is not None:
            check_metric(self.metric, self.stated_task)

    @property
    def stated_task(self) -> str | None:
        """The given task, or that of the loss."""
        if self.task is not None or self.loss is None:
            return self.task
        return TASK_OF_TARGETS[make(LOSSES, self.loss, "loss").targets]
