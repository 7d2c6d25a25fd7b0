"""The settings of a training run: everything except where it runs.

The command line makes them, and `config.json` holds them.  The same settings, data and seed
describe the same computation on every backend.
"""

import operator
from copy import copy
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from pluggable_mlp.backends import Backend
from pluggable_mlp.backends.host import refuse_beyond_memory
from pluggable_mlp.data.dataset import Dataset
from pluggable_mlp.data.load import read_dataset
from pluggable_mlp.data.preparation import Preparation
from pluggable_mlp.data.tables import is_table
from pluggable_mlp.data.values import Split
from pluggable_mlp.fields import (
    as_seed,
    check_fields,
    choose,
    make,
    parameters_of,
    parse_component,
    split_components,
    with_parameter,
)
from pluggable_mlp.files import Json
from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.network.feature_layers import NORMALIZATIONS
from pluggable_mlp.network.losses import LOSSES
from pluggable_mlp.network.mlp import DRAWING, MLP
from pluggable_mlp.options import LOSS_OF_TASK, OFF, Options, written
from pluggable_mlp.training.components import OPTIMIZERS, AnyOptimizer, make_optimizer
from pluggable_mlp.training.examples import AnyExamples, make_examples
from pluggable_mlp.training.metrics import METRICS, check_metric
from pluggable_mlp.training.recipes import DEFAULT, NONE, RECIPES, Facts, Recipe, TableForm
from pluggable_mlp.training.schedules import SCHEDULES, make_schedule
from pluggable_mlp.training.streaming import in_whole_batches

_OF_OPTIMIZER = ("learning_rate", "weight_decay", "clip_norm")
_OF_ITS_OPTIMIZER = (*_OF_OPTIMIZER, "schedule")
"""Settings of a recipe's optimizer; another optimizer has its own rate and decay, and a constant
rate."""
_TASK_OF_TARGETS = {
    "classes": "classification",
    "labels": "multilabel",
    "numbers": "regression",
    "counts": "regression",
}


@dataclass(frozen=True)
class Settings(Options):
    """The settings of a training run; `pluggable-mlp train --help` explains each.

    Components are given by name, with parameters after a colon: "leaky_relu:slope=0.2".  None
    means "not given": the recipe's value applies, or the component's own.  "none" switches off
    clip_norm, schedule and early_stopping.

    Raises
    ------
    ValueError
        If a value is out of range, or the recipe is unknown; the message names it.
    """

    def __post_init__(self) -> None:
        check_fields(self)
        if self.recipe is None:
            object.__setattr__(self, "recipe", DEFAULT if is_table(self.data) else NONE)
        if self.metric is not None:
            check_metric(self.metric, self._task())
        self._fill(Facts(self._task()))
        as_seed(self.seed)
        self.rows_of_blocks()  # refuses blocks of less than a batch

    def completed(self, facts: Facts, **values: object) -> "Settings":
        """Fill in the recipe's values for settings that were not given.

        Facts about the data replace settings as they are; nothing is checked again.
        """
        other = copy(self)
        for name, value in values.items():
            object.__setattr__(other, name, value)
        other._fill(facts)
        return other

    def _fill(self, facts: Facts) -> None:
        values = self.made_recipe.values(facts)
        if self.metric is not None and METRICS[self.metric].takes_probabilities:
            values["label_smoothing"] = 0.0
        optimizer = values["optimizer"].partition(":")[0]
        name, parameters = parse_component(self.optimizer or values["optimizer"], "optimizer")
        for key, value in values.items():
            is_of_other = key in _OF_ITS_OPTIMIZER and name != optimizer
            if getattr(self, key) is None and not is_of_other and key not in parameters:
                object.__setattr__(self, key, value)
        members = None if facts.rows is None else self.made_recipe.usual_members(facts.rows, name)
        if members and "members" not in parse_component(self.recipe, "recipe")[1]:
            object.__setattr__(self, "recipe", with_parameter(self.recipe, "members", members))
            del vars(self)["made_recipe"]  # that of the text before

    @cached_property
    def made_recipe(self) -> Recipe:
        """The recipe of this text."""
        return make(RECIPES, self.recipe, "recipe")

    def used(self, name: str) -> Any:
        """Return the value of an optional setting; None if it is not given, or switched off."""
        value = getattr(self, name)
        return None if value == OFF else value

    @property
    def keeps_best(self) -> bool:
        """Whether the best epoch on the validation part is kept, rather than the last."""
        by_recipe = self.made_recipe.validation is not None and self.validation != 0.0
        return by_recipe or self.used("early_stopping") is not None

    @property
    def ends_with_epochs(self) -> str | None:
        """What depends on the number of epochs: the schedule, or a part of the recipe."""
        name, _ = parse_component(self.used("schedule") or "constant", "schedule")
        if "total_steps" in parameters_of(SCHEDULES[name]):
            return f"the schedule {name}"
        decay = self.to_dict()["weight_decay"]
        if self.made_recipe.ends_with_training and (self.dropout or decay):
            return f"the dropout or decay of {self.recipe}"
        return None

    @property
    def chosen(self) -> str:
        """The recipe with the values that are used, in words; empty for the plain network.

        The settings are those of `for_dataset`.
        """
        if self.recipe == NONE:
            return ""
        values = self.to_dict()
        names = [*self.made_recipe.values(Facts()), "scaling"]
        shown = [f"{name} {written(values[name])}" for name in names if values[name]]
        return f"recipe {self.recipe}: {', '.join(shown)}"

    def load_dataset(self, preparation: Preparation | None = None) -> Dataset:
        """Return the data for the given task, or else that of the loss or of the targets.

        Parameters
        ----------
        preparation : Preparation, optional
            A saved one, to be applied; by default one is fitted.

        Raises
        ------
        DataError
            As for `pluggable_mlp.data.load_dataset`.
        ValueError
            If a component or its parameter does not fit; this is found before data are read.
        """
        facts = Facts(self._task() or "classification", True, False, self.epochs, rows=1)
        example = self.completed(facts)  # refuses what does not fit, before data are read
        example._components()
        example.make_optimizer(1_000_000 * example.batch_size)
        return read_dataset(self.data_options(), preparation)

    def data_options(self, **values: object) -> "Settings":
        """Return these settings as `DataOptions`, with the task and the scaling of targets.

        Facts about the data replace settings, as for `completed`.
        """
        values |= {"task": self._task(), "target_scaling": self._target_scaling()}
        return self.completed(Facts(self._task()), **values)

    def for_dataset(self, dataset: Dataset) -> "Settings":
        """Return the settings, completed by the data: task, scalings, loss, blocks, ….

        Raises
        ------
        ValueError
            If early stopping has no validation part to watch, or there are no targets to scale.
        """
        if self.used("early_stopping") is not None and not self.validates(dataset):
            raise ValueError(
                f"early_stopping is {self.early_stopping}, expected a validation part to watch; "
                "keep one with --validation 0.1 (validation_fraction=0.1)"
            )
        preparation = dataset.fitted_preparation
        of_targets = preparation.target_scaling
        names = preparation.target_names if preparation.columns is not None else None
        if of_targets is None and self.target_scaling not in (None, "none"):
            raise ValueError(
                f"target_scaling is {self.target_scaling!r}, expected none for classes or labels"
            )
        validates, has_edges = self.validates(dataset), bool(preparation.edges)
        facts = Facts(dataset.task, has_edges, validates, self.epochs, len(dataset.train.targets))
        completed = self.completed(facts)
        block_size = self.block_size
        if block_size is None:  # that of data in files, at least a batch
            block_size = dataset.block_size and max(dataset.block_size, completed.batch_size)
        return completed.completed(
            facts,
            task=dataset.task,
            target=",".join(names) if names else self.target,
            scaling=preparation.scaling_kind,
            target_scaling="none" if of_targets is None else of_targets.kind,
            test_share=dataset.test_share,
            validation=dataset.validation_share if validates else 0.0,
            loss=self.loss or LOSS_OF_TASK[dataset.task],
            block_size=block_size or 0,
        )

    def for_preparation(self, preparation: Preparation) -> "Settings":
        """Return the settings, completed by the data that a preparation was fitted on."""
        rows, has_edges = preparation.examples["train"], bool(preparation.edges)
        return self.completed(Facts(preparation.task, has_edges, False, rows=rows))

    def rows_of_blocks(self) -> int | None:
        """Return how many examples a block has, in whole batches; None: all are taken at once.

        Raises
        ------
        ValueError
            If a block is less than a batch.
        """
        if not self.block_size or self.batch_size is None:  # it depends on the data
            return None
        return in_whole_batches(self.block_size, self.batch_size)

    def validates(self, dataset: Dataset) -> bool:
        """Return whether the data have a validation part that is used."""
        return "validation" in dataset.splits and self.validation != 0.0

    def _task(self) -> str | None:
        """Return the given task, or that of the loss, or None."""
        if self.task is not None or self.loss is None:
            return self.task
        return _TASK_OF_TARGETS[make(LOSSES, self.loss, "loss").targets]

    def _target_scaling(self) -> str:
        """Return how targets are scaled; counts, as for `poisson`, must stay counts."""
        counts = make(LOSSES, self.loss or "squared_error", "loss").targets == "counts"
        if counts and self.target_scaling not in (None, "none"):
            raise ValueError(
                f"target_scaling is {self.target_scaling!r}, expected none for the loss {self.loss}"
            )
        return self.target_scaling or ("none" if counts else "standard")

    def _components(self) -> dict[str, Any]:
        """Return the activation, the normalization and the loss; ValueError if one does not fit."""
        task = self._task() or "classification"
        losses = {
            name: loss for name, loss in LOSSES.items() if _TASK_OF_TARGETS[loss.targets] == task
        }
        smoothing = {"label_smoothing": self.label_smoothing} if self.label_smoothing else {}
        activations: list[Any] = [
            make(ACTIVATIONS, one, "activation") for one in split_components(self.activation)
        ]
        return {
            "activation": activations[0] if len(activations) == 1 else activations,
            "norm": None if self.norm is None else make(NORMALIZATIONS, self.norm, "norm"),
            "loss": make(losses, self.loss or LOSS_OF_TASK[task], f"loss for {task}", **smoothing),
        }

    def make_mlp(self, form: TableForm, outputs: int) -> MLP:
        """Return the network for inputs of a form and a number of outputs.

        Raises
        ------
        MemoryError
            If a layer's weights do not fit into this machine.
        """
        sizes = [sum(form.blocks), *self.hidden, outputs]
        weights = max(map(operator.mul, sizes, sizes[1:]))
        refuse_beyond_memory(f"a layer of {weights:,} weights, drawn in float64,", 8 * weights)
        return MLP(
            sizes,
            **self._components(),
            **{name: getattr(self, name) for name in DRAWING},
            **self.made_recipe.parts(form),
        )

    def make_examples(
        self, mlp: MLP, split: Split, preparation: Preparation, backend: Backend, **more: Any
    ) -> AnyExamples:
        """Return prepared examples of a network on a backend; `more` as for `make_examples`."""
        return make_examples(
            mlp,
            *split,
            backend=backend,
            dtype=self.dtype,
            scale=preparation.scale_of(split.inputs),
            arithmetic=self.arithmetic,
            **more,
        )

    def evaluation(self, preparation: Preparation, backend: Backend) -> dict[str, Any]:
        """Return the arguments of `evaluate` and `measure` beside parameters and examples."""
        scaling = preparation.target_scaling
        return {
            "backend": backend,
            "arithmetic": self.arithmetic,
            "units": None if scaling is None else scaling.divisors,
            "metric": self.metric,
        }

    def steps_per_epoch(self, examples: int) -> int:
        """Return how many batches an epoch has for a number of examples."""
        if self.made_recipe.whole_batches:
            return max(1, examples // self.batch_size)
        return -(-examples // self.batch_size)

    def total_steps(self, examples: int) -> int:
        """Return how many steps a training has for a number of examples."""
        return self.epochs * self.steps_per_epoch(examples)

    def scheduled(self, mlp: MLP, examples: int) -> MLP:
        """Return the network for a number of training examples, with scheduled dropout."""
        return self.made_recipe.scheduled(mlp, self.total_steps(examples))

    def make_optimizer(self, examples: int, mlp: MLP | None = None) -> AnyOptimizer:
        """Return a network's optimizer, with its schedule, for a number of training examples."""
        name, parameters = self._optimizer()
        steps = self.total_steps(examples)
        shape = self.used("schedule")
        if shape is not None or self.warmup:
            usual = getattr(choose(OPTIMIZERS, name, "optimizer"), "learning_rate", 1.0)
            rate = parameters.get("learning_rate", usual)
            schedule, options = parse_component(shape or "constant", "schedule")
            for key in ("learning_rate", "total_steps", "warmup"):
                if key in options:
                    raise ValueError(
                        f"schedule is {shape!r}, expected it without {key}, which follows from "
                        "other options"
                    )
            parameters["learning_rate"] = make_schedule(
                schedule, rate, total_steps=steps, warmup=self.warmup, **options
            )
        optimizer = make_optimizer(name, **parameters)
        layers = () if mlp is None else mlp.layers
        names = {name for layer in layers for name in layer.shapes()}
        return self.made_recipe.with_factors(optimizer, names, steps)

    def to_dict(self) -> Json:
        """Return the settings for JSON, with the values that the optimizer uses.

        None means an unused value, "none" one that is switched off.  `Settings(**…)` reads them.
        """
        values = asdict(self)
        name, parameters = self._optimizer()
        for key in _OF_OPTIMIZER:
            if values[key] != OFF:
                values[key] = parameters.get(key, getattr(OPTIMIZERS[name], key, None))
        return values

    def _optimizer(self) -> tuple[str, Json]:
        """Return the optimizer's name and its parameters."""
        name, parameters = parse_component(self.optimizer, "optimizer")
        for key in _OF_OPTIMIZER:
            if getattr(self, key) == OFF:
                parameters.pop(key, None)
            elif getattr(self, key) is not None:
                parameters[key] = getattr(self, key)
        return name, parameters
