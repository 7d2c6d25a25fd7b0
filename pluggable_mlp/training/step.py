"""The training step, from a state and a batch to the loss and the next state.

It is used by `train`, compiled or operation by operation, by `compare` on several backends, and by
custom loops through `single_steps.py`.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

from pluggable_mlp.arrays import Array, LibraryArrays, Namespace, without_graph
from pluggable_mlp.network.layers import Rng
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.network.passes import Parameters
from pluggable_mlp.network.philox import Seed
from pluggable_mlp.training.components import AnyOptimizer
from pluggable_mlp.training.examples import Batch
from pluggable_mlp.training.lbfgs import LBFGS, Memory
from pluggable_mlp.training.optimizer import (
    Coefficients,
    Optimizer,
    Slots,
    Update,
    UpdateArguments,
    each_array,
)
from pluggable_mlp.training.transforms import averaged_parameters
from pluggable_mlp.training.trees import Tree, map_arrays, merge

StateArrays: TypeAlias = tuple[Tree, Tree, Slots]
"""Parameters, buffers and slots of a state."""
At: TypeAlias = tuple[int, Seed, tuple[float, ...]]
"""The count t of a step, the seed as two words, and the numbers of the network."""


class TrainState(NamedTuple):
    """Everything that changes from step to step.

    Attributes
    ----------
    parameters : list of dict of arrays
        The parameters that the optimizer updates.
    buffers : list of dict of arrays
        The running mean and variance of batch normalization.
    slots : dict of lists of dicts of arrays
        The memory of the optimizer, by name.
    t : int
        The count of updates.

    See Also
    --------
    first_state, training_step

    Examples
    --------
    >>> from pluggable_mlp import MLP, Adam, first_state, get_backend
    >>> mlp = MLP([1, 2])
    >>> state = first_state(mlp, Adam(), mlp.initialize(seed=0, backend=get_backend("numpy")))
    >>> sorted(state.parameters[0]), sorted(state.slots)
    (['W', 'b'], ['mean', 'mean_square'])
    """

    parameters: Tree
    buffers: Tree
    slots: Any
    t: int

    @property
    def inference_parameters(self) -> LibraryArrays:
        """The parameters for predictions: with buffers, and averaged if the optimizer averages."""
        return merge(averaged_parameters(self.slots, self.parameters), self.buffers)


def step(
    xp: Namespace,
    mlp: MLP,
    optimizer: Optimizer,
    state: TrainState,
    batch: Batch,
    coefficients: Coefficients,
    seed: Seed,
    micro_batch: int | None = None,
    *,
    update: Update = each_array,
    fused: bool = False,
) -> tuple[Array, TrainState]:
    """Return the loss (…) of the batch before the step, and the state after it.

    It is pure and does not check its arguments.  It consists of array operations without branches
    on values, so that a backend can compile it.  `coefficients` are
    `optimizer.coefficients_at(state.t)`; the seed is that of dropout and noise.  `update` applies
    the optimizer's rule: another than the default may write over the arrays of the state.  Where
    operations are `fused`, the optimizer's scale is not moved into the backward pass, since a pass
    over the parameters costs the same with it.
    """
    scale = None if fused else optimizer.gradient_scale(coefficients)
    found = differentiate(
        xp, mlp, state.parameters, state.buffers, batch, Rng(seed, state.t), scale, micro_batch
    )
    return found.loss, updated(xp, optimizer, state, coefficients, found, update)


class Differentiated(NamedTuple):
    """The results of a step before the update.

    Attributes
    ----------
    loss : array (…)
        Of the batch.
    buffers : list of dict of arrays
        After the batch.
    gradients : list of dict of arrays
        Of the shapes of the parameters; empty where `parameters` are known.
    parameters : list of dict of arrays, or None
        Those after the step, where the gradients times a number are the whole update.
    """

    loss: Array
    buffers: Tree
    gradients: Tree
    parameters: Tree | None


def differentiate(
    xp: Namespace,
    mlp: MLP,
    parameters: Tree,
    buffers: Tree,
    batch: Batch,
    rng: Rng,
    scale: float | Array | None,
    micro_batch: int | None = None,
) -> Differentiated:
    """Return the loss, the buffers, and the gradients or the new parameters.

    The batch is x (…, batch, in) with its targets and weights, of which `micro_batch` examples are
    computed at once; `scale` is the optimizer's `gradient_scale`: the gradients times it are the
    update, if it is not None, and are added here.
    """
    if micro_batch is None:
        loss, gradients, moved = mlp.loss_gradients_and_buffers(
            xp, parameters, buffers, *batch, rng, scale
        )
    else:
        loss, gradients, moved = _in_micro_batches(
            xp, mlp, parameters, buffers, batch, rng, scale, micro_batch
        )
    if scale is None:
        return Differentiated(loss, moved, gradients, None)
    return Differentiated(loss, moved, [], map_arrays(_add, parameters, gradients))


def _in_micro_batches(
    xp: Namespace,
    mlp: MLP,
    parameters: Tree,
    buffers: Tree,
    batch: Batch,
    rng: Rng,
    scale: float | Array | None,
    micro_batch: int,
) -> tuple[Array, Tree, Tree]:
    """Return what `MLP.loss_gradients_and_buffers` does, from some examples at a time.

    The loss of a batch is the mean of those of its micro-batches, weighted by their examples, or
    by the sums of their sample_weight; so is its gradient.  Dropout drops what it drops of the
    whole batch.  Batch normalization measures each micro-batch by itself.
    """
    x, targets, sample_weight = batch
    count = x.shape[0]
    whole: Array | int = count
    if sample_weight is not None:
        total = xp.sum(sample_weight)
        whole = xp.where(total > 0.0, total, 1.0)
    loss: Array = None
    gradients: Tree = []
    for start in range(0, count, micro_batch):
        rows = slice(start, min(start + micro_batch, count))
        weights = None if sample_weight is None else sample_weight[rows]
        size: Array | int = rows.stop - start if weights is None else xp.sum(weights)
        share = size * (1.0 / whole)
        part, of_part, buffers = mlp.loss_gradients_and_buffers(
            xp,
            parameters,
            buffers,
            x[rows, ...],
            targets[rows, ...],
            weights,
            replace(rng, first=start),
            share if scale is None else share * scale,
        )
        loss = part * share if loss is None else loss + part * share
        gradients = map_arrays(_add, of_part, gradients) if gradients else of_part
    return loss, gradients, buffers


def updated(
    xp: Namespace,
    optimizer: Optimizer,
    state: TrainState,
    coefficients: Coefficients,
    found: Differentiated,
    update: Update,
) -> TrainState:
    """Return the state after a step, from what `differentiate` found: the rest of the step.

    Its arrays have the shapes of those of the state before.
    """
    parameters, slots = found.parameters, state.slots
    if parameters is None:
        parameters, slots = optimizer.update(
            UpdateArguments(
                xp, coefficients, state.parameters, found.gradients, state.slots, update
            )
        )
    return TrainState(parameters, found.buffers, slots, state.t + 1)


def _add(x: Array, total: Array) -> Array:
    total += x  # made for this step: writing over it is quicker than new memory
    return total


def initial_state(
    xp: Namespace, mlp: MLP, parameters: Parameters, optimizer: AnyOptimizer
) -> TrainState:
    """Return the state before the first step, with arrays of the namespace."""
    own = map_arrays(lambda array: xp.asarray(without_graph(array)), parameters)
    trained, buffers = mlp.split(own)
    slots = Memory() if isinstance(optimizer, LBFGS) else optimizer.initial_slots(trained)
    return TrainState(trained, buffers, slots, 0)


def map_state(function: Callable[[Array], Array], state: TrainState) -> TrainState:
    """Return the state with function(array) for each array."""
    parameters, buffers, slots, t = state
    return TrainState(
        map_arrays(function, parameters),
        map_arrays(function, buffers),
        {name: map_arrays(function, tree) for name, tree in slots.items()},
        t,
    )


def step_of_arrays(
    xp: Namespace,
    mlp: MLP,
    optimizer: Optimizer,
    micro_batch: int | None,
    at: At,
    coefficients: Coefficients,
    arrays: StateArrays,
    batch: Batch,
    *,
    fused: bool = False,
) -> tuple[Array, StateArrays]:
    """Return the loss and the arrays of the state after `step`, of the numbers as arguments."""
    t, seed, numbers = at
    mlp, state = mlp.with_numbers(numbers), TrainState(*arrays, t)
    loss, after = step(
        xp, mlp, optimizer, state, batch, coefficients, seed, micro_batch, fused=fused
    )
    return loss, after[:-1]


def share_arrays(before: TrainState, after: TrainState) -> bool:
    """Return whether an array of parameters or slots is in both states."""
    return not _identities(before).isdisjoint(_identities(after))


def _identities(state: TrainState) -> set[int]:
    trees = (state.parameters, *state.slots.values())
    return {id(array) for tree in trees for layer in tree for array in layer.values()}
