"""The training step for callers with a loop of their own: their batches, their epochs.

It is the step that `train` takes, behind a door of its own; what happens around steps is the
caller's business.
"""

from typing import Any, TypeAlias

from pluggable_mlp.arrays import Array
from pluggable_mlp.namespaces import arithmetic_namespace, unwrapped
from pluggable_mlp.network.checks import check_parameters
from pluggable_mlp.network.layers import TrainingStep
from pluggable_mlp.network.mlp import MLP, Parameters
from pluggable_mlp.registry import as_seed
from pluggable_mlp.training.optimizers import AnyOptimizer
from pluggable_mlp.training.steps import Model, as_single_steps, first_model, make_step, map_model
from pluggable_mlp.training.trees import merge

__all__ = ["TrainState", "first_state", "training_step"]

TrainState: TypeAlias = Model


def first_state(
    mlp: MLP, optimizer: AnyOptimizer, parameters: Parameters, *, arithmetic: str = "native"
) -> TrainState:
    """Return the state of a training before its first step.

    Parameters
    ----------
    mlp : MLP
    optimizer : Optimizer
        Not lbfgs, and not with the schedule plateau: both look beyond a single batch.
    parameters : list of dict of arrays
        Where to start: `mlp.initialize(seed=0, …)`.
    arithmetic : {"native", "reproducible"}, default "native"
        How products, sums and transcendental functions are rounded.

    Returns
    -------
    TrainState
        All that changes from step to step.  Its `parameters` are what to predict with: averaged,
        if the optimizer averages, with the running statistics of batch normalization.

    Raises
    ------
    ValueError, TypeError
        If the optimizer cannot take single steps, or the parameters do not fit the network.
    """
    optimizer = as_single_steps(optimizer)
    xp = arithmetic_namespace(arithmetic, check_parameters(mlp, parameters))
    state: TrainState = unwrapped(first_model(xp, mlp, parameters, optimizer))
    return state


def training_step(
    mlp: MLP,
    optimizer: AnyOptimizer,
    state: TrainState,
    x: Array,
    labels: Array,
    *,
    weights: Array | None = None,
    seed: int = 0,
    arithmetic: str = "native",
) -> tuple[Array, TrainState]:
    """Return the loss of a batch, and the state after one step on it.

    Dropout draws the numbers of this step of the seed, batch normalization takes the batch's own
    statistics and moves the running ones: `train` does the same with the same batches.

    Parameters
    ----------
    mlp, optimizer
        Those of `first_state`.
    state : TrainState
        From `first_state` or the step before; it does not change.
    x : array (…, batch, in)
        Of the parameters' library, device and dtype.
    labels : array
        As for `MLP.loss_and_gradients`.
    weights : array (…, batch), optional
        Likewise.
    seed : int, default 0
        Of the run, for dropout, from 0 to 2**64 - 1.
    arithmetic : {"native", "reproducible"}, default "native"
        That of `first_state`.

    Returns
    -------
    loss : array (…)
        The mean over the batch before the step, on the device: one number per network.
    state : TrainState

    Raises
    ------
    ValueError, TypeError
        If the arrays do not fit each other or the network; the message names which.
    """
    parameters = _parameters_of(state, optimizer)
    xp, _, batch = mlp.checked_batch(parameters, x, labels, weights, arithmetic)
    step = TrainingStep(as_seed(seed), int(state.state.numbers["step"]))
    model = Model.of(map_model(xp.asarray, state.arrays), state.state.numbers)
    loss, model = make_step(xp, mlp, optimizer)(model, batch, step)
    return unwrapped(loss), unwrapped(model)


def _parameters_of(state: Any, optimizer: Any) -> Parameters:
    """Return what a step starts from: not averaged, with the running statistics.

    Raises
    ------
    TypeError, ValueError
        If it is not a state, or that of an optimizer which remembers something else.
    """
    if not isinstance(state, Model):
        raise TypeError(f"state is a {type(state).__name__}, expected one from first_state(...)")
    numbers, trees = as_single_steps(optimizer).init([])
    if numbers.keys() != state.state.numbers.keys() or trees.keys() != state.state.trees.keys():
        raise ValueError(
            f"state is of another optimizer than {optimizer!r}: begin with "
            "first_state(mlp, optimizer, state.parameters)"
        )
    return merge(state.trained, state.statistics)
