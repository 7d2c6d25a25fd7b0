"""The settings of one training run: everything but where it runs.

The command line makes them, `config.json` holds them.  The same settings, data and seed describe
the same computation on every backend.
"""

import operator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from pluggable_mlp.backends.memory import refuse_beyond_memory
from pluggable_mlp.fields import check_fields, doc, fields_of
from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.network.losses import LOSSES
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.network.normalization import NORMALIZATIONS
from pluggable_mlp.registry import (
    as_seed,
    choose,
    did_you_mean,
    listed,
    make,
    parse_component,
    parse_components,
)
from pluggable_mlp.training.components import OPTIMIZERS, AnyOptimizer, make_optimizer
from pluggable_mlp.training.schedules import SCHEDULES, make_schedule

if TYPE_CHECKING:
    from pluggable_mlp.data import Dataset
    from pluggable_mlp.data.preparation import Preparation

__all__ = ["LOSS_OF_TASK", "Settings"]

_Share = Annotated[float, Meta(ge=0, lt=1)]
_Count = Annotated[int, Meta(ge=1)]
_CountOrZero = Annotated[int, Meta(ge=0)]
_NonNegative = Annotated[float, Meta(ge=0)]
_OF_OPTIMIZER = ("learning_rate", "weight_decay", "clip_norm")
LOSS_OF_TASK = {
    "classification": "softmax_cross_entropy",
    "multilabel": "sigmoid_cross_entropy",
    "regression": "squared_error",
}
"""The loss of each task, unless one is given."""
_TASK_OF_TARGETS = {
    "classes": "classification",
    "labels": "multilabel",
    "numbers": "regression",
    "counts": "regression",
}

_RATE_OF_REGRESSION = 0.01
"""Of SGD, unless one is given: with its own, 0.1, squared errors of 100 sigmoids diverge."""


@dataclass(frozen=True)
class Settings:
    """The settings of a training run; `pluggable-mlp train --help` explains each.

    Components are given by name, with parameters after a colon: "leaky_relu:slope=0.2".  None
    stands for "not given": the component's own value holds.

    Raises
    ------
    ValueError
        If a value is out of range, a name unknown, or a parameter not one of the component's: the
        message names it.
    """

    # fmt: off
    data: Annotated[str, doc(
        "Data set: digits (embedded), mnist, fashion-mnist, or a path: mnist.pkl.gz, a folder of "
        "IDX files or with X.npy and y.npy, .npz with X and y, or a table: .csv, .tsv, .parquet, "
        ".feather.")] = "digits"
    task: Annotated[Literal["classification", "multilabel", "regression"] | None, doc(
        f"Task: {', '.join(LOSS_OF_TASK)}; by default determined by the loss or the "
        "targets.")] = None
    target: Annotated[str | None, doc(
        "Column of a table to predict, by name or by position from 1; several are separated by "
        "commas. By default the last.")] = None
    header: Annotated[Literal["yes", "no"] | None, doc(
        "Whether the first line of a .csv or .tsv names the columns: yes or no; by default it does "
        "if none of its fields is a number, or if its numbers count the columns.")] = None
    encoding: Annotated[str | None, doc(
        "Encoding of a .csv or .tsv, such as latin-1; by default UTF-8.")] = None
    scaling: Annotated[str | None, doc(
        "Scaling of the features, fitted on the training part: standard, minmax, robust, "
        "smooth_clip, quantile, pixels (whole numbers from 0 to 255) or none; by default standard "
        "for tables, otherwise none.")] = None
    target_scaling: Annotated[str | None, doc(
        "Scaling of the numbers to predict of a regression, in which the loss is computed: "
        "standard, minmax, robust or none; by default standard, for the loss poisson none. "
        "Predictions and errors are in the original units.")] = None
    test: Annotated[str | None, doc(
        "Data for testing only, as for --data: their test part, or else all examples. By default "
        "the test part of the data, or --test-share.")] = None
    test_share: Annotated[_Share | None, doc(
        "Share of the data that is held out for testing; 0 to train on all examples. By default "
        "one in seven, unless the data have a test part or there is --test.")] = None
    validation: Annotated[_Share | None, doc(
        "Share of the training part that is held out for validation; by default the validation "
        "part of the data, if there is one.")] = None
    hidden: Annotated[tuple[_Count, ...], doc(
        "Widths of the hidden layers, such as 256,128; '' for none.")] = (100,)
    activation: Annotated[str, doc(
        "Activation of the hidden layers, one for all or one per layer, such as "
        f"relu,elu:alpha=0.5: {listed(ACTIVATIONS)}.")] = "sigmoid"
    dropout: Annotated[_Share, doc("Probability of dropping an output of a hidden layer.")] = 0.0
    input_dropout: Annotated[_Share, doc("Probability of dropping an input.")] = 0.0
    input_noise: Annotated[_NonNegative, doc(
        "Standard deviation of the uniform noise that training adds to the prepared inputs: pixels "
        "divided by 256, columns standardized.")] = 0.0
    norm: Annotated[str | None, doc(
        f"Normalization of the hidden layers: {listed(NORMALIZATIONS)}.")] = None
    loss: Annotated[str | None, doc(
        f"Loss: {listed(LOSSES, leave_out=['label_smoothing'])}; by default "
        f"{', '.join(f'{loss} for {task}' for task, loss in LOSS_OF_TASK.items())}.")] = None
    label_smoothing: Annotated[_Share, doc(
        "Share of each target that is spread over all classes.")] = 0.0
    class_weight: Annotated[Literal["balanced"] | None, doc(
        "balanced: weight classes inversely to their frequency.")] = None
    optimizer: Annotated[str, doc(
        "Optimizer, with parameters after a colon, such as sgd:momentum=0.9,nesterov=true: "
        f"{listed(OPTIMIZERS, leave_out=['learning_rate', 'weight_decay'])}.")] = "sgd"
    learning_rate: Annotated[_NonNegative | None, doc(
        "Learning rate; by default that of the optimizer (sgd: 0.1, regression 0.01).")] = None
    weight_decay: Annotated[_NonNegative | None, doc(
        "Weight decay: decoupled if the optimizer supports it, otherwise L2.")] = None
    clip_norm: Annotated[Annotated[float, Meta(ge=1e-30)] | None, doc(
        "Maximum norm of all gradients together.")] = None
    schedule: Annotated[str | None, doc(
        "Schedule of the learning rate: "
        f"{listed(SCHEDULES, leave_out=['learning_rate', 'total_steps'])}.")] = None
    warmup: Annotated[_CountOrZero, doc(
        "Number of updates of linear warm-up before the schedule.")] = 0
    batch_size: Annotated[_Count, doc("Number of examples per update.")] = 16
    micro_batch: Annotated[_Count | None, doc(
        "Number of examples of a batch that are computed at once, for batches that do not fit into "
        "the memory; by default all.")] = None
    block_size: Annotated[_CountOrZero | None, doc(
        "Number of examples in memory at once, the rest stays in .npy files; 0 for all. By default "
        "all, unless the files take more than a quarter of the memory.")] = None
    epochs: Annotated[_Count, doc("Number of passes over the training examples.")] = 30
    early_stopping: Annotated[_Count | None, doc(
        "Stop after this many epochs without a lower validation loss, and keep the best "
        "parameters.")] = None
    dtype: Annotated[Literal["float32", "float64"], doc("float32 or float64.")] = "float32"
    arithmetic: Annotated[Literal["native", "reproducible"], doc(
        "native (the library's own, fast) or reproducible (the same bits on every "
        "backend).")] = "native"
    seed: Annotated[_CountOrZero, doc("Seed of all random numbers.")] = 0
    # fmt: on

    def __post_init__(self) -> None:
        check_fields(self)
        as_seed(self.seed)
        if self.block_size:
            from pluggable_mlp.training.streaming import in_whole_batches  # with much else

            in_whole_batches(self.block_size, self.batch_size)
        if self.test_share is not None and self.test is not None:
            raise ValueError(
                f"test_share is {self.test_share}, but the examples for testing are those of "
                f"{self.test}; leave one of them out"
            )
        self.make_optimizer(examples=1_000_000 * self.batch_size)
        self.make_mlp(1, 2)

    def load_dataset(
        self, preparation: "Preparation | None" = None, in_files: bool = False
    ) -> "Dataset":
        """Return the data, for the task given, or that of the loss, or that of the targets.

        Parameters
        ----------
        preparation : Preparation, optional
            One that was saved, to be applied; by default one is fitted.
        in_files : bool, default False
            As for `pluggable_mlp.data.load_dataset`.

        Raises
        ------
        DataError
            As `pluggable_mlp.data.load_dataset`.
        """
        from pluggable_mlp.data import load_dataset

        return load_dataset(
            self.data, **self.data_options(), preparation=preparation, in_files=in_files
        )

    @property
    def where_data_are(self) -> str:
        """The remedy where the data are elsewhere now."""
        options = "--data" if self.test is None else "--data and --test"
        return f"say with {options} where they are"

    def data_options(self) -> dict[str, Any]:
        """Return the options of `load_dataset`."""
        return {
            "target": self.target,
            "header": None if self.header is None else self.header == "yes",
            "encoding": self.encoding,
            "test": self.test,
            "seed": self.seed,
            "task": self._task(),
            "scaling": self.scaling,
            "validation": self.validation,
            "target_scaling": self._target_scaling(),
            "block_size": self.block_size,
            "test_share": self.test_share,
        }

    def for_dataset(self, dataset: "Dataset") -> "Settings":
        """Return the settings, completed by the data: task, scalings, loss, blocks, ….

        Raises
        ------
        ValueError
            If early stopping has no validation part to watch, or there are no targets to scale.
        """
        if self.early_stopping is not None and not self.validates(dataset):
            raise ValueError(
                f"early_stopping is {self.early_stopping}, but there is no validation part to "
                "watch; keep one with --validation 0.1"
            )
        made = dataset.preparation
        of_targets = made.target_scaling if made else None
        named = made.target_names if made and made.columns is not None else None
        if of_targets is None and self.target_scaling not in (None, "none"):
            raise ValueError(
                f"target_scaling is {self.target_scaling!r}, but the targets are classes or "
                "labels; leave it out"
            )
        return replace(
            self,
            task=dataset.task,
            target=self.target or (named or (None,))[0],
            scaling=made.scaling_kind if made else "none",
            target_scaling="none" if of_targets is None else of_targets.kind,
            test_share=dataset.test_share,
            validation=self.validation if self.validates(dataset) else 0.0,
            loss=self.loss or LOSS_OF_TASK[dataset.task],
            block_size=self._blocks_of(dataset),
        )

    def _blocks_of(self, dataset: "Dataset") -> int:
        """Return the size of a block: the one given, or that of data in files, else 0."""
        if self.block_size is not None:
            return self.block_size
        return max(dataset.block_size, self.batch_size) if dataset.block_size else 0

    def validates(self, dataset: "Dataset") -> bool:
        """Return whether the data have a validation part that is used."""
        return "validation" in dataset.splits and self.validation != 0.0

    def _task(self) -> str | None:
        """Return the task given, or that of the loss, or None."""
        if self.task is not None or self.loss is None:
            return self.task
        name, _ = parse_component(self.loss, "loss")
        return _TASK_OF_TARGETS[choose(LOSSES, name, "loss").targets]

    def _target_scaling(self) -> str:
        """Return how numbers to predict are scaled; counts, as of `poisson`, must stay counts."""
        name, _ = parse_component(self.loss or "squared_error", "loss")
        counts = choose(LOSSES, name, "loss").targets == "counts"
        if counts and self.target_scaling not in (None, "none"):
            raise ValueError(
                f"target_scaling is {self.target_scaling!r}, but the loss {name} takes counts; "
                "leave it out"
            )
        return self.target_scaling or ("none" if counts else "standard")

    def _make_loss(self) -> Any:
        """Return the loss, by default the task's own; ValueError if it is of another task."""
        task = self._task() or "classification"
        text = self.loss or LOSS_OF_TASK[task]
        name, parameters = parse_component(text, "loss")
        if self.label_smoothing:
            parameters["label_smoothing"] = self.label_smoothing
        loss = make(LOSSES, name, "loss", **parameters)
        if _TASK_OF_TARGETS[loss.targets] != task:
            fitting = [key for key, of in LOSSES.items() if _TASK_OF_TARGETS[of.targets] == task]
            raise ValueError(
                f"loss is {text!r}, expected one for the task {task}: {', '.join(fitting)}"
            )
        return loss

    def make_mlp(self, features: int, outputs: int) -> MLP:
        """Return the network for so many input features and outputs.

        Raises
        ------
        MemoryError
            If a layer's weights do not fit into this machine.
        """
        sizes = [features, *self.hidden, outputs]
        weights = max(map(operator.mul, sizes, sizes[1:]))
        refuse_beyond_memory(f"a layer of {weights:,} weights, drawn in float64,", 8 * weights)
        made: list[Any] = [
            make(ACTIVATIONS, name, "activation", **parameters)
            for name, parameters in parse_components(self.activation, "activation")
        ]
        norm = None
        if self.norm is not None:
            name, parameters = parse_component(self.norm, "norm")
            norm = make(NORMALIZATIONS, name, "norm", **parameters)
        return MLP(
            sizes,
            activation=made[0] if len(made) == 1 else made,
            loss=self._make_loss(),
            dropout=self.dropout,
            input_dropout=self.input_dropout,
            input_noise=self.input_noise,
            norm=norm,
        )

    def make_optimizer(self, examples: int) -> AnyOptimizer:
        """Return the optimizer, with its schedule, for so many training examples."""
        name, parameters = self._optimizer()
        if self.schedule is not None or self.warmup:
            rate = parameters.get("learning_rate", _default_rate(name))
            schedule, options = parse_component(self.schedule or "constant", "schedule")
            for key in ("learning_rate", "total_steps", "warmup"):
                if key in options:
                    raise ValueError(
                        f"schedule is {self.schedule!r}, expected it without {key}, which follows "
                        "from other settings"
                    )
            steps = self.epochs * -(-examples // self.batch_size)
            parameters["learning_rate"] = make_schedule(
                schedule, rate, total_steps=steps, warmup=self.warmup, **options
            )
        return make_optimizer(name, **parameters)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings for JSON, with the values that the optimizer uses.

        None stands for what is not used.
        """
        name, parameters = self._optimizer()
        defaults = {key: getattr(OPTIMIZERS[name], key, None) for key in _OF_OPTIMIZER}
        used = {key: parameters.get(key, defaults[key]) for key in _OF_OPTIMIZER}
        return asdict(self) | used

    def _optimizer(self) -> tuple[str, dict[str, Any]]:
        """Return the optimizer's name and its parameters."""
        name, parameters = parse_component(self.optimizer, "optimizer")
        given = {key: getattr(self, key) for key in _OF_OPTIMIZER}
        parameters |= {key: of for key, of in given.items() if of is not None}
        if name == "sgd" and self._task() == "regression":
            parameters.setdefault("learning_rate", _RATE_OF_REGRESSION)
        return name, parameters

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Settings":
        """Return the settings that `to_dict` wrote.

        Raises
        ------
        ValueError
            If one is missing, unknown or out of range.
        """
        fields = fields_of(cls)
        for name in values:
            if name not in fields:
                raise ValueError(f"{name!r} is not a setting{did_you_mean(name, fields)}")
        if missing := [name for name in fields if name not in values]:
            raise ValueError(f"settings are missing: {', '.join(missing)}")
        return cls(**values)


def _default_rate(optimizer: str) -> float:
    """Return the default learning rate of an optimizer; 1 if it has none."""
    rate: float = getattr(choose(OPTIMIZERS, optimizer, "optimizer"), "learning_rate", 1.0)
    return rate
