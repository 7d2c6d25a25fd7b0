"""What holds for a training: a plan, made once of what was asked and of the data.

`options.py` has what may be asked.  A run and its certificate, predictions and estimators read a
plan; on every backend it describes the same computation.
"""

import operator
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self, get_args

from pluggable_mlp.backends import Backend
from pluggable_mlp.backends.host import refuse_beyond_memory
from pluggable_mlp.data.dataset import Dataset
from pluggable_mlp.data.load import read_dataset
from pluggable_mlp.data.preparation import Preparation
from pluggable_mlp.data.tables import is_table
from pluggable_mlp.data.values import Split, Task
from pluggable_mlp.fields import (
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
from pluggable_mlp.options import (
    LOSS_OF_TASK,
    OFF,
    TASK_OF_TARGETS,
    DataOptions,
    Options,
    format_value,
)
from pluggable_mlp.training.components import OPTIMIZERS, AnyOptimizer, make_optimizer
from pluggable_mlp.training.examples import AnyExamples, make_examples
from pluggable_mlp.training.metrics import METRICS
from pluggable_mlp.training.recipes import DEFAULT, NONE, RECIPES, Facts, Recipe, Values
from pluggable_mlp.training.schedules import SCHEDULES, make_schedule
from pluggable_mlp.training.streaming import in_whole_batches

_OF_OPTIMIZER = ("learning_rate", "weight_decay", "clip_norm")
_OF_ITS_OPTIMIZER = (*_OF_OPTIMIZER, "schedule")
"""Values of a recipe's optimizer; another optimizer has its own rate and decay, and a constant
rate."""


@dataclass(frozen=True)
class Plan:
    """All values of a training, and what is made of them.

    Parameters
    ----------
    options : Options
        Every value that holds, as `config.json` has them; None where one does not apply.
    recipe : Recipe
    mlp : MLP
    optimizer : Optimizer or LBFGS
        With its schedule for all steps.
    batch_size, epochs, steps_per_epoch : int
    """

    options: Options
    recipe: Recipe
    mlp: MLP
    optimizer: AnyOptimizer
    batch_size: int
    epochs: int
    steps_per_epoch: int

    @classmethod
    def read(cls, options: Options, preparation: Preparation) -> Self:
        """Return the plan of options that have every value, for prepared data.

        Raises
        ------
        MemoryError
            If a layer's weights do not fit into this machine.
        ValueError
            If a component does not fit the task, or a value is missing.
        """
        recipe = make(RECIPES, options.recipe or NONE, "recipe")
        batch_size, epochs = options.batch_size, options.epochs
        if batch_size is None or epochs is None or options.hidden is None:
            raise ValueError("it lacks hidden, batch_size or epochs")
        rows = preparation.examples["train"]
        whole = max(1, rows // batch_size)
        steps = whole if recipe.whole_batches else -(-rows // batch_size)
        mlp = _mlp(options, recipe, preparation)
        optimizer = _optimizer(options, epochs * steps)
        names = {name for layer in mlp.layers for name in layer.shapes()}
        optimizer = recipe.with_factors(optimizer, names, epochs * steps)
        return cls(options, recipe, mlp, optimizer, batch_size, epochs, steps)

    @classmethod
    def of(
        cls, options: Options, preparation: Preparation, validates: bool = False, **known: Any
    ) -> Self:
        """Return the plan that completes options by the recipe's values for prepared data.

        Facts about the data, `known`, replace options.
        """
        names = preparation.target_names if preparation.columns is not None else None
        scaling = preparation.target_scaling
        facts = Facts(
            preparation.task,
            preparation.examples["train"],
            bool(preparation.edges),
            validates,
            options.epochs,
        )
        values: Values = {
            **_values_of_recipe(options, facts),
            "task": preparation.task,
            "target": ",".join(names) if names else options.target,
            "scaling": preparation.scaling_kind,
            "target_scaling": "none" if scaling is None else scaling.kind,
            "loss": options.loss or LOSS_OF_TASK[preparation.task],
        }
        return cls.read(replace(options, **values, **known), preparation)

    @classmethod
    def for_dataset(cls, options: Options, dataset: Dataset) -> Self:
        """Return the plan for a data set.

        Raises
        ------
        ValueError
            If early stopping has no validation part to watch, or there are no targets to scale.
        """
        validates = "validation" in dataset.splits and options.validation != 0.0
        if options.early_stopping not in (None, OFF) and not validates:
            raise ValueError(
                f"early_stopping is {options.early_stopping}, expected a validation part to watch; "
                "keep one with --validation 0.1 (validation_fraction=0.1)"
            )
        preparation = dataset.fitted_preparation
        if preparation.target_scaling is None and options.target_scaling not in (None, "none"):
            raise ValueError(
                f"target_scaling is {options.target_scaling!r}, expected none for classes or labels"
            )
        plan = cls.of(
            options,
            preparation,
            validates,
            test_share=dataset.test_share,
            validation=dataset.validation_share if validates else 0.0,
        )
        if options.block_size is None:  # that of data in files, at least a batch
            block_size = dataset.block_size and max(dataset.block_size, plan.batch_size)
            plan = replace(plan, options=replace(plan.options, block_size=block_size))
        return plan

    @property
    def rows_of_blocks(self) -> int | None:
        """How many examples a block has, in whole batches; None: all are taken at once."""
        if not self.options.block_size:
            return None
        return in_whole_batches(self.options.block_size, self.batch_size)

    @property
    def patience(self) -> int | None:
        """How many epochs early stopping waits; None without it."""
        patience = self.options.early_stopping
        return patience if isinstance(patience, int) else None

    @property
    def keeps_best(self) -> bool:
        """Whether the best epoch on the validation part is kept, rather than the last."""
        by_recipe = self.recipe.validation is not None and self.validates
        return by_recipe or self.patience is not None

    @property
    def validates(self) -> bool:
        """Whether the data have a validation part that is used."""
        return self.options.validation != 0.0

    @property
    def trained_mlp(self) -> MLP:
        """The network in training, with scheduled dropout."""
        return self.recipe.scheduled(self.mlp, self.epochs * self.steps_per_epoch)

    @property
    def ends_with_epochs(self) -> str | None:
        """What depends on the number of epochs: the schedule, or a part of the recipe."""
        name = _schedule(self.options)[0]
        if "total_steps" in parameters_of(SCHEDULES[name]):
            return f"the schedule {name}"
        if self.recipe.ends_with_training and (self.options.dropout or self.options.weight_decay):
            return f"the dropout or decay of {self.options.recipe}"
        return None

    def in_words(self) -> str:
        """Return the recipe with its values that hold; empty for the plain network."""
        if self.options.recipe == NONE:
            return ""
        names = [*self.recipe.values(Facts(str(self.options.task), rows=1)), "scaling"]
        values = self.to_dict()
        shown = [f"{name} {format_value(values[name])}" for name in names if values.get(name)]
        return f"recipe {self.options.recipe}: {', '.join(shown)}"

    def make_examples(
        self, split: Split, preparation: Preparation, backend: Backend, **more: Any
    ) -> AnyExamples:
        """Return prepared examples of the network on a backend; `more` as for `make_examples`."""
        return make_examples(
            self.mlp,
            *split,
            backend=backend,
            dtype=self.options.dtype,
            scale=preparation.scale_of(split.inputs),
            arithmetic=self.options.arithmetic,
            **more,
        )

    def evaluation(self, preparation: Preparation, backend: Backend) -> dict[str, Any]:
        """Return the arguments of `evaluate` and `measure` beside parameters and examples."""
        scaling = preparation.target_scaling
        return {
            "backend": backend,
            "arithmetic": self.options.arithmetic,
            "units": None if scaling is None else scaling.divisors,
            "metric": self.options.metric,
        }

    def to_dict(self) -> Json:
        """Return the values that hold, for JSON; `Options(**…)` and `read` make the same plan."""
        return {name: value for name, value in asdict(self.options).items() if value is not None}


_EXAMPLES = {
    task: Preparation(
        features=1,
        scale=None,
        input_range=(0.0, 1.0),
        class_labels=(0, 1) if task == "classification" else None,
        task=task,
        target_names=("y",),
        examples={"train": 10**9},
    )
    for task in get_args(Task)
}
"""Data of each task, with more rows than a warm-up has steps."""


def refuse_unfit(options: Options) -> None:
    """Raise ValueError if a component, or its parameter, fits no data of the stated task."""
    Plan.of(options, _EXAMPLES[options.stated_task or "classification"])
    if options.block_size and options.batch_size is not None:
        in_whole_batches(options.block_size, options.batch_size)


def read_data(options: Options, preparation: Preparation | None = None) -> Dataset:
    """Return the data for the stated task, or else that of the targets.

    Parameters
    ----------
    options : Options
    preparation : Preparation, optional
        A saved one, to be applied; by default one is fitted.

    Raises
    ------
    DataError
        As for `pluggable_mlp.data.load_dataset`.
    ValueError
        If a component or its parameter does not fit; this is found before data are read.
    """
    refuse_unfit(options)
    return read_dataset(options_for_reading(options), preparation)


def options_for_reading(options: Options) -> DataOptions:
    """Return the options of the data, with the stated task, the recipe and targets' scaling."""
    values = {field.name: getattr(options, field.name) for field in fields(DataOptions)}
    scaling, loss = options.target_scaling, options.loss
    if loss is not None and make(LOSSES, loss, "loss").targets == "counts":  # they stay counts
        if scaling not in (None, "none"):
            raise ValueError(f"target_scaling is {scaling!r}, expected none for the loss {loss}")
        scaling = "none"
    values |= {"task": options.stated_task, "recipe": _recipe_text(options)}
    return DataOptions(**values | {"target_scaling": scaling or "standard"})


def _recipe_text(options: Options) -> str:
    return options.recipe or (DEFAULT if is_table(options.data) else NONE)


def _values_of_recipe(options: Options, facts: Facts) -> Values:
    """Return the recipe's values for options that were not given, and those of the optimizer."""
    text = _recipe_text(options)
    recipe = make(RECIPES, text, "recipe")
    values = recipe.values(facts)
    if options.metric is not None and METRICS[options.metric].takes_probabilities:
        values["label_smoothing"] = 0.0
    optimizer = values["optimizer"].partition(":")[0]
    stated = options.optimizer or values["optimizer"]
    name, parameters = parse_component(stated, "optimizer")
    if name != optimizer:
        values = {key: value for key, value in values.items() if key not in _OF_ITS_OPTIMIZER}
    usual = choose(OPTIMIZERS, name, "optimizer")
    for key in _OF_OPTIMIZER:
        values[key] = parameters.get(key, values.get(key, getattr(usual, key, None)))
    values = {key: value for key, value in values.items() if getattr(options, key) is None}
    return {**values, "recipe": with_members(text, facts.rows, name)}


def with_members(text: str, rows: int, optimizer: str) -> str:
    """Return a recipe as text with the number of networks that it takes for so many rows."""
    members = make(RECIPES, text, "recipe").usual_members(rows, optimizer)
    if not members or "members" in parse_component(text, "recipe")[1]:
        return text
    return with_parameter(text, "members", members)


def _mlp(options: Options, recipe: Recipe, preparation: Preparation) -> MLP:
    """Return the network that options with every value describe."""
    form, task = preparation.form, preparation.task
    sizes = [sum(form.blocks), *(options.hidden or ()), preparation.outputs]
    weights = max(map(operator.mul, sizes, sizes[1:]))
    refuse_beyond_memory(f"a layer of {weights:,} weights, drawn in float64,", 8 * weights)
    losses = {name: loss for name, loss in LOSSES.items() if TASK_OF_TARGETS[loss.targets] == task}
    smoothing = {"label_smoothing": options.label_smoothing} if options.label_smoothing else {}
    activations: list[Any] = [
        make(ACTIVATIONS, one, "activation") for one in split_components(str(options.activation))
    ]
    return MLP(
        sizes,
        activation=activations[0] if len(activations) == 1 else activations,
        norm=None if options.norm is None else make(NORMALIZATIONS, options.norm, "norm"),
        loss=make(losses, str(options.loss), f"loss for {task}", **smoothing),
        **{name: getattr(options, name) for name in DRAWING},
        **recipe.parts(form),
    )


def _schedule(options: Options) -> tuple[str, Values]:
    """Return the name of the schedule, constant by default, and its parameters."""
    text = "constant" if options.schedule in (None, OFF) else str(options.schedule)
    return parse_component(text, "schedule")


def _optimizer(options: Options, total_steps: int) -> AnyOptimizer:
    """Return the optimizer that options with every value describe, with its schedule."""
    name, stated = parse_component(str(options.optimizer), "optimizer")
    parameters: Values = dict(stated)
    for key in _OF_OPTIMIZER:
        value = getattr(options, key)
        if value == OFF:
            parameters.pop(key, None)
        elif value is not None:
            parameters[key] = value
    if options.schedule not in (None, OFF) or options.warmup:
        usual = getattr(choose(OPTIMIZERS, name, "optimizer"), "learning_rate", 1.0)
        rate = parameters.get("learning_rate", usual)
        schedule, more = _schedule(options)
        for key in ("learning_rate", "total_steps", "warmup"):
            if key in more:
                raise ValueError(
                    f"schedule is {options.schedule!r}, expected it without {key}, which follows "
                    "from other options"
                )
        parameters["learning_rate"] = make_schedule(
            schedule, rate, total_steps=total_steps, warmup=options.warmup, **more
        )
    return make_optimizer(name, **parameters)
