"""Steps of custom loops: the first state, and a step from a state and a batch to the next one.

They are those of `train`, which are in `step.py`.
"""

from pluggable_mlp.arrays import Array, LibraryArray, without_graph
from pluggable_mlp.namespaces import arithmetic_namespace, run, unwrapped
from pluggable_mlp.network.checks import check_parameters
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.network.passes import Parameters, first_array
from pluggable_mlp.network.philox import as_words
from pluggable_mlp.registry import as_seed
from pluggable_mlp.shortcuts import on_device_of
from pluggable_mlp.training.components import without_rate
from pluggable_mlp.training.optimizer import Optimizer
from pluggable_mlp.training.step import TrainState, initial_state, map_state, step_of_arrays
from pluggable_mlp.training.trees import merge, named_like


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
