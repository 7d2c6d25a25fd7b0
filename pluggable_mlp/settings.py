"""The settings of one training run: everything but where it runs.

The command line makes them, `config.json` keeps them; the same settings, data and seed describe
the same computation on every backend.
"""

import operator
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from pluggable_mlp.backends.memory import refuse_beyond_memory
from pluggable_mlp.namespaces import ARITHMETICS
from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.network.losses import LOSSES
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.network.normalization import NORMALIZATIONS
from pluggable_mlp.registry import (
    as_count,
    as_number,
    choose,
    make,
    parse_component,
    parse_components,
)
from pluggable_mlp.training.components import OPTIMIZERS, AnyOptimizer, make_optimizer
from pluggable_mlp.training.schedules import make_schedule
from pluggable_mlp.training.visits import in_whole_batches

if TYPE_CHECKING:
    from pluggable_mlp.data import Dataset

__all__ = ["Settings"]

_TEXTS = {"data": str, "activation": str, "optimizer": str}
_TEXTS_OR_NONE = dict.fromkeys(
    (
        "test",
        "task",
        "target",
        "scaling",
        "target_scaling",
        "loss",
        "norm",
        "schedule",
        "class_weight",
    ),
    str | None,
)
_WHOLE_NUMBERS = {"batch_size": 1, "epochs": 1, "seed": 0, "warmup": 0}
_OF_OPTIMIZER = ("learning_rate", "weight_decay", "clip_norm")
_LOSS_OF_TASK = {
    "classification": "softmax_cross_entropy",
    "multilabel": "sigmoid_cross_entropy",
    "regression": "squared_error",
}
_TASK_OF_TARGETS = {
    "classes": "classification",
    "labels": "multilabel",
    "numbers": "regression",
    "counts": "regression",
}

_RATE_OF_REGRESSION = 0.01
"""Of SGD, unless one is given: with its own, 0.1, squared errors of 100 sigmoids diverge."""

_BEFORE_THERE_WERE: dict[str, Any] = {
    "target_scaling": "none",
    "test": None,
    "test_share": None,
    "block_size": 0,
    "micro_batch": None,
    "input_dropout": 0.0,
    "input_noise": 0.0,
}
"""Settings that older runs lack, with what they did."""


@dataclass(frozen=True)
class Settings:
    """What is trained, on what, and how; see the command line's help for each.

    Components are given by name, with parameters after a colon: "leaky_relu:slope=0.2".  None
    stands for "not given": the component's own value holds.

    Raises
    ------
    ValueError
        If a value is out of range, a name unknown, or a parameter not one of the component's: the
        message names it.
    """

    data: str = "digits"
    task: str | None = None
    target: str | None = None
    scaling: str | None = None
    target_scaling: str | None = None
    test: str | None = None
    test_share: float | None = None
    validation: float | None = None
    hidden: tuple[int, ...] = (100,)
    activation: str = "sigmoid"
    dropout: float = 0.0
    input_dropout: float = 0.0
    input_noise: float = 0.0
    norm: str | None = None
    loss: str | None = None
    label_smoothing: float = 0.0
    class_weight: str | None = None
    optimizer: str = "sgd"
    learning_rate: float | None = None
    weight_decay: float | None = None
    clip_norm: float | None = None
    schedule: str | None = None
    warmup: int = 0
    batch_size: int = 16
    micro_batch: int | None = None
    block_size: int | None = None
    epochs: int = 30
    early_stopping: int | None = None
    dtype: str = "float32"
    arithmetic: str = "native"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, kind in (_TEXTS | _TEXTS_OR_NONE).items():
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected a text")
        choose(ARITHMETICS, self.arithmetic, "arithmetic")
        choose({"float32": 0, "float64": 0}, self.dtype, "dtype")
        for name, least in _WHOLE_NUMBERS.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value < 2**64:
                raise ValueError(
                    f"{name} is {value!r}, expected an integer of at least {least} and below 2**64"
                )
        self._check_parts()
        if self.block_size:
            in_whole_batches(self.block_size, self.batch_size)
        elif self.block_size is not None:
            as_count("block_size", self.block_size, at_least=0)
        if self.micro_batch is not None:
            as_count("micro_batch", self.micro_batch, at_least=1)
        if self.early_stopping is not None:
            as_count("early_stopping", self.early_stopping, at_least=1)
        if self.class_weight not in (None, "balanced"):
            raise ValueError(f"class_weight is {self.class_weight!r}, expected 'balanced'")
        if self.task is not None:
            choose(_LOSS_OF_TASK, self.task, "task")
        self.make_optimizer(examples=1_000_000 * self.batch_size)
        self.make_mlp(1, 2)

    def _check_parts(self) -> None:
        """Check what is kept for testing and for validation."""
        for name in ("test_share", "validation"):
            if getattr(self, name) is not None:
                as_number(name, getattr(self, name), at_least=0.0, below=1.0)
        if self.test is not None and self.test_share is not None:
            raise ValueError(
                f"test_share is {self.test_share}, but the examples for testing are those of "
                f"{self.test}; leave one of them out"
            )

    def load_dataset(self) -> "Dataset":
        """Return the data, for the task that is named, that of the loss, or that of the targets.

        Raises
        ------
        DataError
            As `pluggable_mlp.data.load_dataset`.
        """
        from pluggable_mlp.data import load_dataset

        return load_dataset(self.data, **self.data_options())

    @property
    def where_data_are(self) -> str:
        """The remedy where the data are elsewhere now."""
        options = "--data" if self.test is None else "--data and --test"
        return f"say with {options} where they are"

    def data_options(self) -> dict[str, Any]:
        """Return what `load_dataset` is asked for."""
        return {
            "target": self.target,
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
        """Return the settings with what was left to the data: task, scalings, loss, blocks, ….

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
        of_targets = dataset.target_scaling
        if of_targets is None and self.target_scaling not in (None, "none"):
            raise ValueError(
                f"target_scaling is {self.target_scaling!r}, but the targets are classes or "
                "labels; leave it out"
            )
        return replace(
            self,
            task=dataset.task,
            target=self.target or (dataset.target_names or (None,))[0],
            scaling=dataset.preparation.scaling_kind if dataset.preparation else "none",
            target_scaling="none" if of_targets is None else of_targets.kind,
            test_share=dataset.test_share,
            validation=self.validation if self.validates(dataset) else 0.0,
            loss=self.loss or _LOSS_OF_TASK[dataset.task],
            block_size=self._blocks_of(dataset),
        )

    def _blocks_of(self, dataset: "Dataset") -> int:
        """Return the size of a block that is given, or that of data in files, else 0."""
        if self.block_size is not None:
            return self.block_size
        from pluggable_mlp.data.streaming import block_of

        size = block_of(dataset.train.inputs)
        return max(size, self.batch_size) if size else 0

    def validates(self, dataset: "Dataset") -> bool:
        """Return whether the data have a validation part that is used."""
        return "validation" in dataset.splits and self.validation != 0.0

    def _task(self) -> str | None:
        """Return the task that is named, or that of the loss; None where neither is."""
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
        text = self.loss or _LOSS_OF_TASK[task]
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
            schedule, own = parse_component(self.schedule or "constant", "schedule")
            for key in ("learning_rate", "total_steps", "warmup"):
                if key in own:
                    raise ValueError(
                        f"schedule is {self.schedule!r}, expected it without {key}, which follows "
                        "from other settings"
                    )
            steps = self.epochs * -(-examples // self.batch_size)
            parameters["learning_rate"] = make_schedule(
                schedule, rate, total_steps=steps, warmup=self.warmup, **own
            )
        return make_optimizer(name, **parameters)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON knows them, with the optimizer's values that hold.

        What stays None is not used at all.
        """
        name, parameters = self._optimizer()
        own = {key: getattr(OPTIMIZERS[name], key, None) for key in _OF_OPTIMIZER}
        held = {key: parameters.get(key, own[key]) for key in _OF_OPTIMIZER}
        return asdict(self) | held

    def _optimizer(self) -> tuple[str, dict[str, Any]]:
        """Return the optimizer's name and the parameters that it is given."""
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
        values = _BEFORE_THERE_WERE | values
        expected = {field.name for field in fields(cls)}
        if set(values) != expected:
            wrong = sorted(set(values) ^ expected)
            raise ValueError(f"settings are missing or unknown: {', '.join(wrong)}")
        return cls(**{**values, "hidden": tuple(values["hidden"])})


def _default_rate(optimizer: str) -> float:
    """Return the learning rate that an optimizer has of itself; 1 for one that has none."""
    rate: float = getattr(choose(OPTIMIZERS, optimizer, "optimizer"), "learning_rate", 1.0)
    return rate
