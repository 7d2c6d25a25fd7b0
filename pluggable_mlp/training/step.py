"""The training step, from a state and a batch to the loss and the next state.

All callers use one function, `step`: `Steps` operation by operation, traced or compiled,
`training_step` for custom loops, and `compare`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from operator import iadd
from typing import NamedTuple, TypeAlias, cast

from pluggable_mlp import arrays as libraries
from pluggable_mlp import namespaces
from pluggable_mlp.arrays import (
    Array,
    LibraryArray,
    LibraryArrays,
    Namespace,
    Nested,
    map_nested,
    shortcuts,
)
from pluggable_mlp.fields import as_seed
from pluggable_mlp.network.checks import check_parameters, checked_batch
from pluggable_mlp.network.layers import Address, Rng, Seed, as_words
from pluggable_mlp.network.loss import total_weight
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.network.parameters import (
    Parameters,
    Tree,
    first_array,
    map_arrays,
    merged,
    named_like,
)
from pluggable_mlp.training import optimizer as optimizers
from pluggable_mlp.training.components import AnyOptimizer, without_rate
from pluggable_mlp.training.examples import Arrays, Batch, Examples
from pluggable_mlp.training.lbfgs import LBFGS, Memory
from pluggable_mlp.training.optimizer import Coefficients, Optimizer, as_single_steps
from pluggable_mlp.training.transforms import averaged_parameters

StateArrays: TypeAlias = tuple[Tree, Tree, optimizers.Slots]
"""Parameters, buffers and slots of a state."""
Result: TypeAlias = tuple[Array, Array | None, StateArrays]
"""The loss and the total weight of a step's batch, and the arrays of the state after it."""


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
    slots: Nested
    t: int

    @property
    def inference_parameters(self) -> LibraryArrays:
        """The parameters for predictions: with buffers, and averaged if the optimizer averages."""
        return merged(averaged_parameters(self.slots, self.parameters), self.buffers)


@dataclass(frozen=True)
class StepModel:
    """What a step computes, whatever its input; equal models share a compiled function.

    Parameters
    ----------
    mlp, optimizer
    micro_batch : int, optional
        How many examples of a batch are computed at once; by default all.
    dtype : str
    scale : float, optional
        As for `Examples`.
    size : int
        The size of a batch that begins at a start.
    fused : bool
        Whether the operations of a rule are fused, by a compiler or in one kernel.
    """

    mlp: MLP
    optimizer: AnyOptimizer | None
    micro_batch: int | None = None
    dtype: str = "float32"
    scale: float | None = None
    size: int = 0
    fused: bool = False

    def examples(self, xp: Namespace, arrays: Arrays) -> Examples:
        """Return examples of these arrays."""
        return Examples(None, None, getattr(xp, self.dtype), self.scale).with_arrays(arrays)

    def batch(self, xp: Namespace, data: Nested, start: int | Array | None) -> Batch:
        """Return the inputs (…, batch, in), the targets and the sample_weight of a step."""
        return data if start is None else self.examples(xp, data).batch_of(xp, start, self.size)


def step(
    xp: Namespace,
    model: StepModel,
    c: Coefficients,
    address: Address,
    arrays: StateArrays,
    data: Nested,
    start: int | Array | None = None,
    *,
    traced: Callable[..., tuple[Array, Array | None, Tree, Tree]] | None = None,
    update: optimizers.Update = optimizers.each_array,
) -> Result:
    """Return the loss (…) of a batch before the step, its weight, and the state's arrays after it.

    It is pure and does not check its arguments.  It consists of array operations without branches
    on values, so that a backend can compile it.  c are the optimizer's coefficients at t.  The
    batch begins at `start` of the data, `Examples.arrays`; without a start, the data are the batch.
    `traced` is `differentiate` of this namespace and model as a backend repeats it; `update`
    applies the optimizer's rule, and one that is not the default may overwrite the arrays.  If
    operations are fused, the optimizer's scale is not moved into the backward pass, since a pass
    over the parameters costs the same with it.
    """
    parameters, buffers, slots = arrays
    optimizer = cast(Optimizer, model.optimizer)
    scale = None if model.fused else optimizer.gradient_scale(c)
    function = partial(differentiate, xp, model) if traced is None else traced
    loss, weight, buffers, gradients = function(parameters, buffers, scale, address, data, start)
    if scale is not None:
        return loss, weight, (gradients, buffers, slots)
    parameters, slots = optimizer.update(
        optimizers.UpdateArguments(
            xp, c, parameters, gradients, slots, model.mlp.layers_with_parameters, update
        )
    )
    return loss, weight, (parameters, buffers, slots)


def differentiate(
    xp: Namespace,
    model: StepModel,
    parameters: Tree,
    buffers: Tree,
    scale: float | Array | None,
    address: Address,
    data: Nested,
    start: int | Array | None = None,
) -> tuple[Array, Array | None, Tree, Tree]:
    """Return the loss of a batch, its weight, the buffers after it, and the gradients.

    `scale` is the optimizer's `gradient_scale`: if it is not None, the gradients times it are the
    update, and the updated parameters are returned instead of gradients.
    """
    t, seed, numbers = address
    batch, rng = model.batch(xp, data, start), Rng(seed, t, numbers=numbers)
    if model.micro_batch is None:
        loss, gradients, buffers = model.mlp.loss_gradients_and_buffers(
            xp, parameters, buffers, *batch, rng, scale
        )
    else:
        loss, gradients, buffers = _in_micro_batches(
            xp, model, parameters, buffers, batch, rng, scale
        )
    if scale is not None:
        gradients = map_arrays(iadd, gradients, parameters)  # made here: quicker than new memory
    weight = total_weight(xp, batch[2])
    if weight is not None and batch[0].ndim > 2 and model.mlp.own_batches:
        weight = xp.mean(weight, axis=-1)
    return loss, weight, buffers, gradients


def _in_micro_batches(
    xp: Namespace,
    model: StepModel,
    parameters: Tree,
    buffers: Tree,
    batch: Batch,
    rng: Rng,
    scale: float | Array | None,
) -> tuple[Array, Tree, Tree]:
    """Return the result of `MLP.loss_gradients_and_buffers`, from some examples at a time.

    The loss of a batch is the mean of those of its micro-batches, weighted by their examples, or
    by the sums of their sample_weight; so is its gradient.  Dropout is the same as for the whole
    batch.  Batch normalization measures each micro-batch by itself.
    """
    x, targets, sample_weight = batch
    count, size = x.shape[0], model.micro_batch or x.shape[0]
    whole: Array | int = count
    if sample_weight is not None:
        total = xp.sum(sample_weight)
        whole = xp.where(total > 0.0, total, 1.0)
    loss: Array = None
    gradients: Tree = []
    for start in range(0, count, size):
        rows = slice(start, min(start + size, count))
        weights = None if sample_weight is None else sample_weight[rows]
        counted: Array | int = rows.stop - start if weights is None else xp.sum(weights)
        share = counted * (1.0 / whole)
        part, of_part, buffers = model.mlp.loss_gradients_and_buffers(
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
        gradients = map_arrays(iadd, gradients, of_part) if gradients else of_part
    return loss, gradients, buffers


def loss_and_gradients(
    xp: Namespace, mlp: MLP, state: TrainState, batch: Batch, seed: Seed
) -> tuple[Array, Tree]:
    """Return the loss of a batch before the step from a state, and its gradients."""
    trees, rng = (state.parameters, state.buffers), mlp.rng_at(state.t, seed)
    return mlp.loss_gradients_and_buffers(xp, *trees, *batch, rng)[:2]


def initial_state(
    xp: Namespace, mlp: MLP, parameters: Parameters, optimizer: AnyOptimizer
) -> TrainState:
    """Return the state before the first step, with arrays of the namespace."""
    arrays = map_arrays(lambda array: xp.asarray(libraries.without_graph(array)), parameters)
    trained, buffers = mlp.split(arrays)
    slots = Memory() if isinstance(optimizer, LBFGS) else optimizer.initial_slots(trained)
    return TrainState(trained, buffers, slots, 0)


def first_state(
    mlp: MLP, optimizer: Optimizer, parameters: Parameters, *, arithmetic: str = "native"
) -> TrainState:
    """Return the state before the first step.

    Parameters
    ----------
    mlp : MLP
        The network to train.
    optimizer : Optimizer
        Neither lbfgs nor one with the schedule plateau, which use more than a single batch.
    parameters : list of dict of arrays
        The initial ones, such as those of `MLP.initialize`.
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
    library, _ = check_parameters(mlp, parameters)
    with shortcuts.array_context(first_array(parameters)):
        xp = namespaces.arithmetic_namespace(arithmetic, library)
        return namespaces.unwrapped(initial_state(xp, mlp, parameters, optimizer))


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
    mlp : MLP
        That of `first_state`.
    optimizer : Optimizer
        That of `first_state`.
    state : TrainState
        From `first_state` or the previous step; it is not changed.
    x : array (…, batch, in)
        In the library, device and dtype of the parameters.
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
    x, targets, sample_weight = map(libraries.without_graph, (x, targets, sample_weight))
    with shortcuts.array_context(x):
        parameters = merged(state.parameters, state.buffers)
        xp, batch = checked_batch(mlp, parameters, x, targets, sample_weight, arithmetic)
        arrays = state[:-1] if arithmetic == "native" else map_nested(xp.asarray, state[:-1])
        is_compiled = namespaces.compiles(xp)
        model = StepModel(mlp, without_rate(optimizer) if is_compiled else optimizer)
        address = state.t, as_words(as_seed(seed)), mlp.numbers_at(state.t)
        numbers = optimizer.coefficients_at(state.t), address
        loss, _, after = namespaces.run(xp, step, (model,), arrays, batch, numbers=numbers)
        if arithmetic != "native":
            loss, after = namespaces.unwrapped((loss, after))
    after = named_like(state[:-1], after) if is_compiled else after
    return loss, TrainState._make([*after, state.t + 1])


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
