"""One step of training: from a batch to new parameters, whatever the optimizer asks for.

What is remembered between steps is a `Model`.  Which batch comes when is the business of
`placed_steps.py`; epochs and measurements belong in the loop.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.network.layers import TrainingStep
from pluggable_mlp.network.mlp import MLP, Parameters
from pluggable_mlp.training.batches import Batch, Examples
from pluggable_mlp.training.optimizers import (
    LBFGS,
    AnyOptimizer,
    GradientSteps,
    Numbers,
    State,
    Trees,
    averaged_parameters,
)
from pluggable_mlp.training.trees import Tree, map_arrays, merge, split

__all__ = [
    "Model",
    "ModelArrays",
    "Step",
    "as_single_steps",
    "check_optimizer",
    "first_model",
    "make_step",
    "make_update",
    "map_model",
]


ModelArrays = tuple[Tree, Tree, Trees]


class Model(NamedTuple):
    """All that changes from step to step.

    Attributes
    ----------
    trained : list of dict of arrays
        The parameters that the optimizer changes.
    statistics : list of dict of arrays
        Those that it does not: running statistics.
    state
        The optimizer's.
    """

    trained: Tree
    statistics: Tree
    state: Any

    @property
    def parameters(self) -> Parameters:
        """What to measure and to keep: averaged, if the optimizer averages."""
        return merge(averaged_parameters(self.state, self.trained), self.statistics)

    @property
    def arrays(self) -> ModelArrays:
        """All that is on the device: the rest are the numbers of the state."""
        return self.trained, self.statistics, self.state.trees

    @classmethod
    def of(cls, arrays: ModelArrays, numbers: Numbers) -> "Model":
        """Return the model of these arrays and the numbers of the optimizer's state."""
        trained, statistics, trees = arrays
        return cls(trained, statistics, State(numbers, trees))


def map_model(function: Callable[[Array], Array], arrays: ModelArrays) -> ModelArrays:
    """Return the arrays of a model with function(array) for each."""
    trained, statistics, trees = arrays
    return (
        map_arrays(function, trained),
        map_arrays(function, statistics),
        {name: map_arrays(function, tree) for name, tree in trees.items()},
    )


Step = Callable[[Model, Batch, TrainingStep], tuple[Array, Model]]
Update = Callable[[Numbers, ModelArrays, Batch, TrainingStep], tuple[Array, ModelArrays]]


def first_model(xp: Namespace, mlp: MLP, parameters: Parameters, optimizer: AnyOptimizer) -> Model:
    """Return the model before the first step, its parameters as arrays of the namespace."""
    statistics, trained = split(map_arrays(xp.asarray, parameters), mlp.statistics)
    return Model(trained, statistics, optimizer.init(trained))


def check_optimizer(
    mlp: MLP, parameters: Parameters, optimizer: AnyOptimizer, examples: Examples, batch_size: int
) -> None:
    """Refuse what an optimizer cannot do with these networks, data and batches.

    Raises
    ------
    ValueError
        If one learning rate or one line search would have to follow the losses of several
        networks; or if the optimizer is L-BFGS and the batches are smaller than the data, or the
        network has dropout or batch normalization.
    """
    networks = parameters[0]["W"].shape[:-2]
    follows_one_loss = isinstance(optimizer, LBFGS) or (
        "rate_factor" in optimizer.initial_numbers()  # the schedule's that hears of losses
    )
    if networks and follows_one_loss:
        raise ValueError(
            f"parameters have leading axes {networks}, networks with a loss each: lbfgs and the "
            "schedule plateau follow one loss; train each network alone"
        )
    if not isinstance(optimizer, LBFGS):
        return
    if batch_size < len(examples):
        raise ValueError(
            f"batch_size is {batch_size}, expected at least the {len(examples)} examples: "
            "lbfgs takes them all at once"
        )
    if mlp.dropout > 0.0 or any(mlp.statistics):
        raise ValueError(
            "lbfgs needs the same loss at every look: use no dropout and no norm batch"
        )


def as_single_steps(optimizer: Any) -> GradientSteps:
    """Return an optimizer that looks at a single batch at a time.

    Raises
    ------
    TypeError
        If it is not an optimizer, or lbfgs.
    ValueError
        If it has the schedule plateau.
    """
    if not isinstance(optimizer, GradientSteps):
        raise TypeError(
            f"optimizer is {optimizer!r}, expected one such as SGD(0.1); lbfgs looks at all "
            "examples at every step: use train"
        )
    if "rate_factor" in optimizer.initial_numbers():
        raise ValueError("the schedule plateau follows the loss of whole epochs: use train")
    return optimizer


def make_step(xp: Namespace, mlp: MLP, optimizer: AnyOptimizer) -> Step:
    """Return the function that takes a step: (model, batch, step) -> (loss, model).

    The loss, 0-d, is the batch's before the step.
    """
    if isinstance(optimizer, LBFGS):
        return _line_search(xp, mlp, optimizer)

    update = make_update(xp, mlp, optimizer)

    def descend(model: Model, batch: Batch, step: TrainingStep) -> tuple[Array, Model]:
        coefficients, numbers = optimizer.advance(model.state.numbers)
        loss, arrays = update(coefficients, model.arrays, batch, step)
        return loss, Model.of(arrays, numbers)

    return descend


def make_update(xp: Namespace, mlp: MLP, optimizer: GradientSteps) -> Update:
    """Return the part of a step that is array operations alone, with no branch on a value.

    It is (coefficients, arrays of the model, batch, step) -> (loss, arrays of the model).
    """

    def update(
        coefficients: Numbers, arrays: ModelArrays, batch: Batch, step: TrainingStep
    ) -> tuple[Array, ModelArrays]:
        (trained, statistics, trees), (x, labels, weights) = arrays, batch
        scale = optimizer.gradient_scale(coefficients)
        loss, gradients, measured = mlp.take_step(
            xp, merge(trained, statistics), x, labels, weights, step, scale
        )
        trained, trees = optimizer.apply_scaled(xp, coefficients, gradients, trees, trained)
        return loss, (trained, merge(statistics, measured), trees)

    return update


def _line_search(xp: Namespace, mlp: MLP, optimizer: LBFGS) -> Step:
    def search(model: Model, batch: Batch, step: TrainingStep) -> tuple[Array, Model]:
        x, labels, weights = batch

        def loss_and_gradients(trained: Tree) -> tuple[Array, Tree]:
            return mlp.step_gradients(xp, trained, x, labels, weights, step)

        known = model.state.numbers.get("loss")
        loss, _ = (known, None) if known is not None else loss_and_gradients(model.trained)
        trained, state = optimizer.minimize_step(xp, loss_and_gradients, model.trained, model.state)
        W = trained[0]["W"]
        loss = xp.asarray(loss, dtype=W.dtype, device=W.device)
        return loss, Model(trained, model.statistics, state)

    return search
