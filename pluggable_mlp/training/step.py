"""The training step, from a state and a batch to the loss and the next state.

It is used by `train`, compiled or operation by operation, by `compare` on several backends, and by
custom loops through `first_state` and `training_step`.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

from pluggable_mlp.arrays import Array, LibraryArray, LibraryArrays, Namespace, without_graph
from pluggable_mlp.namespaces import arithmetic_namespace, run, unwrapped
from pluggable_mlp.network.checks import check_parameters
from pluggable_mlp.network.layers import Rng, Seed
from pluggable_mlp.network.mlp import MLP, Parameters
from pluggable_mlp.network.passes import first_array
from pluggable_mlp.network.philox import as_words
from pluggable_mlp.registry import as_seed
from pluggable_mlp.shortcuts import on_device_of
from pluggable_mlp.training.components import AnyOptimizer, without_rate
from pluggable_mlp.training.examples import Batch
from pluggable_mlp.training.lbfgs import LBFGS, Memory
from pluggable_mlp.training.optimizer import Coefficients, Optimizer, Slots, Update, each_array
from pluggable_mlp.training.transforms import averaged_parameters
from pluggable_mlp.training.trees import Tree, map_arrays, merge, named_like

__all__ = [
    "At",
    "Differentiated",
    "StateArrays",
    "TrainState",
    "as_single_steps",
    "differentiate",
    "first_state",
    "initial_state",
    "map_state",
    "share_arrays",
    "step",
    "step_of_arrays",
    "training_step",
    "updated",
]

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
            xp, coefficients, state.parameters, found.gradients, slots, update
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


def as_single_steps(optimizer: object) -> Optimizer:
    """Return the optimizer if it uses a single batch at a time.

    Raises
    ------
    TypeError
        If it is not an optimizer, or lbfgs.
    ValueError
        If it has the schedule plateau.
    """
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"optimizer is {optimizer!r}, expected one such as SGD(0.1); lbfgs looks at all "
            "examples at every step: use train"
        )
    if optimizer.follows_losses:
        raise ValueError("the schedule plateau follows the loss of whole epochs: use train")
    return optimizer


def first_state(
    mlp: MLP, optimizer: Optimizer, parameters: Parameters, *, arithmetic: str = "native"
) -> TrainState:
    """Return the state before the first step.

    Parameters
    ----------
    mlp : MLP
    optimizer : Optimizer
        Neither lbfgs nor one with the schedule plateau, which use more than a single batch.
    parameters : list of dict of arrays
        The initial parameters, such as `mlp.initialize(seed=0, …)`.
    arithmetic : {"native", "reproducible"}, default "native"
        How operations round.

    Returns
    -------
    TrainState
        Its `inference_parameters` are the parameters for predictions.

    Raises
    ------
    ValueError, TypeError
        If the optimizer cannot take single steps, or the parameters do not fit the network.

    See Also
    --------
    training_step

    Examples
    --------
    >>> from pluggable_mlp import MLP, SGD, first_state, get_backend
    >>> mlp = MLP([1, 2])
    >>> state = first_state(mlp, SGD(), mlp.initialize(seed=0, backend=get_backend("numpy")))
    >>> state.t
    0
    """
    optimizer = as_single_steps(optimizer)
    own = check_parameters(mlp, parameters)
    with on_device_of(first_array(parameters)):
        xp = arithmetic_namespace(arithmetic, own)
        state: TrainState = unwrapped(initial_state(xp, mlp, parameters, optimizer))
    return state


def training_step(
    mlp: MLP,
    optimizer: Optimizer,
    state: TrainState,
    x: Array,
    targets: Array,
    *,
    sample_weight: Array | None = None,
    seed: int = 0,
    arithmetic: str = "native",
) -> tuple[LibraryArray, TrainState]:
    """Return the loss of a batch, and the state after a step on it.

    Dropout and noise draw the numbers of this step and seed; batch normalization uses the mean and
    variance of the batch and updates the buffers.  `train` takes the same steps for the same
    batches.

    Parameters
    ----------
    mlp, optimizer
        Those of `first_state`.
    state : TrainState
        From `first_state` or the previous step; it is not changed.
    x : array (…, batch, in)
        Of the library, device and dtype of the parameters.
    targets : array
        As for `MLP.loss_and_gradients`.
    sample_weight : array (…, batch), optional
        As for `MLP.loss_and_gradients`.
    seed : int, default 0
        Seed of dropout and noise, from 0 to 2**64 - 1.
    arithmetic : {"native", "reproducible"}, default "native"
        As for `first_state`.

    Returns
    -------
    loss : array (…)
        The mean over the batch, before the step; one number per network, on the device.
    state : TrainState

    Raises
    ------
    ValueError, TypeError
        If the arrays do not fit each other or the network; the message names which.

    See Also
    --------
    train : Takes these steps, batch by batch.
    MLP.loss_and_gradients : For updates of your own.

    Examples
    --------
    >>> from pluggable_mlp import MLP, SGD, first_state, get_backend, training_step
    >>> backend, mlp, optimizer = get_backend("numpy"), MLP([1, 2]), SGD(0.1)
    >>> state = first_state(mlp, optimizer, mlp.initialize(seed=0, backend=backend))
    >>> x, targets = backend.asarray([[1.0]], dtype="float32"), backend.asarray([0])
    >>> loss, state = training_step(mlp, optimizer, state, x, targets)
    >>> state.t
    1
    """
    optimizer = as_single_steps(optimizer)
    _check_state(state, optimizer)
    parameters = merge(state.parameters, state.buffers)
    x, targets, sample_weight = map(without_graph, (x, targets, sample_weight))
    with on_device_of(x):
        xp, _, batch = mlp.checked_batch(parameters, x, targets, sample_weight, arithmetic)
        coefficients = optimizer.coefficients_at(state.t)
        arrays = tuple(map_state(xp.asarray, state)[:-1])
        numbers = (state.t, as_words(as_seed(seed)), mlp.numbers_at(state.t)), coefficients
        components = mlp, without_rate(optimizer), None
        loss, after = unwrapped(run(xp, step_of_arrays, components, arrays, batch, numbers=numbers))
    return loss, TrainState._make([*named_like(state[:-1], after), state.t + 1])


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


def _check_state(state: object, optimizer: Optimizer) -> None:
    """Raise if the state is not a `TrainState` or does not belong to the optimizer."""
    if not isinstance(state, TrainState):
        raise TypeError(f"state is a {type(state).__name__}, expected one from first_state(...)")
    slots = state.slots if isinstance(state.slots, dict) else {"": []}
    if optimizer.initial_slots([]).keys() != slots.keys():
        raise ValueError(
            f"state is of another optimizer than {optimizer!r}: begin with "
            "first_state(mlp, optimizer, parameters)"
        )


def share_arrays(before: TrainState, after: TrainState) -> bool:
    """Return whether an array of parameters or slots is in both states."""
    return not _identities(before).isdisjoint(_identities(after))


def _identities(state: TrainState) -> set[int]:
    trees = (state.parameters, *state.slots.values())
    return {id(array) for tree in trees for layer in tree for array in layer.values()}
