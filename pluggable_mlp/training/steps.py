"""One step of training: from a batch to new parameters, whatever the optimizer asks for.

What is remembered between steps is a `Model`.  Epochs, batches and measurements belong in the
loop.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from pluggable_mlp.arithmetic import Arithmetic
from pluggable_mlp.arrays import Array
from pluggable_mlp.network.layers import TrainingStep
from pluggable_mlp.network.mlp import MLP, Parameters
from pluggable_mlp.training.batches import Batch, Examples
from pluggable_mlp.training.optimizers import LBFGS, AnyOptimizer, State, averaged_parameters
from pluggable_mlp.training.trees import Tree, map_arrays, merge, split

__all__ = ["Model", "Step", "check_full_batch", "first_model", "make_step"]


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


Step = Callable[[Model, Batch, TrainingStep], tuple[Array, Model]]


def first_model(
    mlp: MLP, parameters: Parameters, optimizer: AnyOptimizer, arithmetic: Arithmetic
) -> Model:
    """Return the model before the first step, its parameters as the arithmetic knows numbers."""

    def known(array: Array) -> Array:
        # A sum of one term is that term; of a denormal number, 0 under `reproducible`.
        return arithmetic.sum(arithmetic.xp.expand_dims(array, axis=-1), axis=-1)

    statistics, trained = split(map_arrays(known, parameters), mlp.statistics)
    return Model(trained, statistics, optimizer.init(trained))


def check_full_batch(
    mlp: MLP, optimizer: AnyOptimizer, examples: Examples, batch_size: int
) -> None:
    """Refuse what a line search cannot do: batches of a part, and a loss that changes by itself.

    Raises
    ------
    ValueError
        If the optimizer is L-BFGS and the batches are smaller than the data, or the network has
        dropout or batch normalization.
    """
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


def make_step(mlp: MLP, optimizer: AnyOptimizer, arithmetic: Arithmetic) -> Step:
    """Return the function that takes a step: (model, batch, step) -> (loss, model).

    The loss, 0-d, is the batch's before the step.
    """
    if isinstance(optimizer, LBFGS):
        return _line_search(mlp, optimizer, arithmetic)

    def descend(model: Model, batch: Batch, step: TrainingStep) -> tuple[Array, Model]:
        x, labels, weights = batch
        (numbers, trees), trained = model.state, model.trained
        coefficients, numbers = optimizer.advance(numbers)
        scale = optimizer.gradient_scale(coefficients)
        loss, gradients, measured = mlp.take_step(
            merge(trained, model.statistics), x, labels, arithmetic, step, weights, scale
        )
        trained, trees = optimizer.apply_scaled(coefficients, gradients, trees, trained, arithmetic)
        return loss, Model(trained, merge(model.statistics, measured), State(numbers, trees))

    return descend


def _line_search(mlp: MLP, optimizer: LBFGS, arithmetic: Arithmetic) -> Step:
    def search(model: Model, batch: Batch, step: TrainingStep) -> tuple[Array, Model]:
        x, labels, weights = batch

        def loss_and_gradients(trained: Tree) -> tuple[Array, Tree]:
            return mlp.step_gradients(trained, x, labels, arithmetic, step, weights)

        known = model.state.numbers.get("loss")
        loss, _ = (known, None) if known is not None else loss_and_gradients(model.trained)
        trained, state = optimizer.minimize_step(
            loss_and_gradients, model.trained, model.state, arithmetic
        )
        W = trained[0]["W"]
        loss = arithmetic.xp.asarray(loss, dtype=W.dtype, device=W.device)
        return loss, Model(trained, model.statistics, state)

    return search
