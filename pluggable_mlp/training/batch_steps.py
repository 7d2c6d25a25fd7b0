"""The steps of `train`: on a batch by its place in the epoch, compiled where the backend can.

Compiled or not, it is `step` on a batch of `batches.py`.  Here, only the library's own namespace is
compiled: most compilers contract a * b + c into one rounding; `blind_steps.py` has the exception.
L-BFGS, which asks for the loss as a function, is dispatched to here.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from pluggable_mlp import shortcuts
from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.namespaces import read
from pluggable_mlp.network.layers import Rng
from pluggable_mlp.network.mlp import MLP, Parameters
from pluggable_mlp.provenance import is_ours
from pluggable_mlp.training.batches import Examples
from pluggable_mlp.training.components import AnyOptimizer
from pluggable_mlp.training.kept import made_once
from pluggable_mlp.training.lbfgs import LBFGS
from pluggable_mlp.training.optimizer_contract import Coefficients, Optimizer
from pluggable_mlp.training.rules import each_array
from pluggable_mlp.training.step import Differentiated, TrainState, differentiate, step, update
from pluggable_mlp.training.trees import Tree, map_nested

__all__ = [
    "BatchStep",
    "check_optimizer",
    "compiled",
    "gathered_step",
    "make_batch_step",
    "own_copy",
]

BatchStep = Callable[..., tuple[Array, Array | None, TrainState]]
"""(optimizer, state, examples, start, owned=None) -> (loss, weight, state)"""

Function = Callable[..., Any]


def check_optimizer(
    mlp: MLP, parameters: Parameters, optimizer: AnyOptimizer, count: int, batch_size: int
) -> None:
    """Refuse what an optimizer cannot do with these networks, data and batches.

    Raises
    ------
    ValueError
        If one learning rate or one line search would have to follow the losses of several
        networks; or if the optimizer is L-BFGS and the batches are smaller than the data, or the
        network has dropout, noise or batch normalization.
    """
    networks = parameters[0]["W"].shape[:-2]
    if networks and (isinstance(optimizer, LBFGS) or optimizer.follows_losses):
        raise ValueError(
            f"parameters have leading axes {networks}, networks with a loss each: lbfgs and the "
            "schedule plateau follow one loss; train each network alone"
        )
    if not isinstance(optimizer, LBFGS):
        return
    if batch_size < count:
        raise ValueError(
            f"batch_size is {batch_size}, expected at least the {count} examples: "
            "lbfgs takes them all at once"
        )
    changing = [name for name in ("dropout", "input_dropout", "input_noise") if getattr(mlp, name)]
    if any(mlp.buffers):
        changing.append("norm")
    if changing:
        name = changing[0]
        raise ValueError(
            f"{name} is {getattr(mlp, name)!r}, and lbfgs needs the same loss at every evaluation: "
            f"leave {name} out, or choose another optimizer"
        )


def compiled(function: Function, backend: Any, xp: Namespace) -> Function | None:
    """Return the function compiled; None where it is to run operation by operation."""
    if not _compiles(xp, backend):
        return None
    faster: Function | None = backend.compile(function, ())
    return faster


def _compiles(xp: Namespace, backend: Any) -> bool:
    return xp is backend.xp and hasattr(backend, "compile")


def make_batch_step(
    xp: Namespace,
    mlp: MLP,
    optimizer: AnyOptimizer,
    examples: Examples,
    *,
    backend: Any,
    batch_size: int,
    seed: int,
) -> BatchStep:
    """Return the function (optimizer, state, examples, start, owned) -> (loss, weight, state).

    It takes the step on the examples from `start` on, which have the dtype and the scale of those
    given here.  The optimizer is the one given here, with the learning rate of its epoch.  Where
    the state is `owned`, held by no caller, it may be written over; by default all are but the
    one that an epoch begins with.  The loss, 0-d, is the batch's before the step; the weight, 0-d,
    is the sum of its examples' weights, None where they have none.
    """
    if isinstance(optimizer, LBFGS):
        return _lbfgs_step(xp, mlp)
    kind = examples.kind
    take_uncompiled = _uncompiled_step(xp, mlp, kind, backend, seed)

    @cache
    def compiled_for(size: int) -> Function | None:
        if not _compiles(xp, backend):
            return None
        take_gathered = gathered_step(xp, mlp, optimizer, kind, seed, size)
        make = partial(backend.compile, take_gathered, (0,))
        settings = ("step", xp, kind, seed, size, type(backend), backend.device)
        made: Function | None = made_once((mlp, optimizer), settings, make)
        return made

    def take(
        optimizer: Optimizer,
        state: TrainState,
        examples: Examples,
        start: int,
        owned: bool | None = None,
    ) -> tuple[Array, Array | None, TrainState]:
        owned = start > 0 if owned is None else owned
        coefficients = optimizer.coefficients_at(state.t)
        # Arguments, not a part of the function: a compiler would copy them into its code.
        data, size = examples.arrays, min(batch_size, len(examples) - start)
        take_gathered = compiled_for(size)
        if take_gathered is None:
            return take_uncompiled(optimizer, state, coefficients, data, start, size, owned)
        given = state if owned else own_copy(xp, state)
        loss, weight, after = take_gathered(given[:-1], state.t, coefficients, data, start)
        return loss, weight, TrainState._make([*after, state.t + 1])

    return take


def own_copy(xp: Namespace, state: TrainState) -> TrainState:
    """Return a copy of the state, to be written over."""
    return TrainState._make([*_copier(xp)(state[:-1]), state.t])


@cache
def _copier(xp: Namespace) -> Function:
    return shortcuts.compiled(xp, partial(map_nested, partial(xp.asarray, copy=True)))


def gathered_step(
    xp: Namespace, mlp: MLP, optimizer: Optimizer, examples: Examples, seed: int, size: int
) -> Function:
    """Return the step on a batch of that size as a pure function of arrays and numbers."""

    def take(
        arrays: Any, t: Any, coefficients: Coefficients, data: Any, start: Any
    ) -> tuple[Array, Array | None, Any]:
        batch = examples.with_arrays(data).gathered(xp, start, size)
        state = TrainState._make([*arrays, t])
        loss, after = step(xp, mlp, optimizer, state, batch, coefficients, seed, fused=True)
        return loss, _total(xp, batch[2]), after[:-1]

    return take


def _uncompiled_step(
    xp: Namespace, mlp: MLP, kind: Examples, backend: Any, seed: int
) -> Callable[..., tuple[Array, Array | None, TrainState]]:
    """Return the step on a batch of any size, recorded where the backend can."""
    own: Any = backend if xp is backend.xp else None
    apply = own.rule_applier() if hasattr(own, "rule_applier") else each_array

    @cache
    def differentiate_for(size: int) -> Function:
        function = _differentiate_batch(xp, mlp, kind, seed, size)
        if not (hasattr(own, "record") and is_ours(mlp)):
            return function
        recorded: Function = own.record(function)
        return recorded

    def take(
        optimizer: Optimizer,
        state: TrainState,
        coefficients: Coefficients,
        data: Any,
        start: int,
        size: int,
        owned: bool,
    ) -> tuple[Array, Array | None, TrainState]:
        given = state if owned or apply is each_array else own_copy(xp, state)
        scale = optimizer.gradient_scale(coefficients)
        weight, *parts = differentiate_for(size)(
            given.parameters, given.buffers, given.t, scale, data, start
        )
        found = Differentiated(*parts)
        return found.loss, weight, update(xp, optimizer, given, coefficients, found, apply)

    return take


def _differentiate_batch(
    xp: Namespace, mlp: MLP, examples: Examples, seed: int, size: int
) -> Function:
    """Return `differentiate` for a batch of that size, as a pure function of arrays and numbers.

    Its result, a plain tuple as backends want it, is the batch's weight and what was found.
    """

    def differentiate_batch(
        parameters: Tree, buffers: Tree, t: int, scale: float | None, data: Any, start: int
    ) -> tuple[Any, ...]:
        batch = examples.with_arrays(data).between(xp, start, start + size)
        found = differentiate(xp, mlp, parameters, buffers, batch, Rng(seed, t), scale)
        return _total(xp, batch[2]), *found

    return differentiate_batch


def _lbfgs_step(xp: Namespace, mlp: MLP) -> BatchStep:
    """Return an iteration of L-BFGS on all examples."""

    def take(
        optimizer: LBFGS, state: TrainState, examples: Examples, start: int
    ) -> tuple[Array, Array | None, TrainState]:
        batch = examples.batch(xp, start, len(examples))

        def loss_and_gradients(parameters: Tree) -> tuple[float, Tree]:
            given = parameters, state.buffers, *batch
            return read(xp, mlp.loss_gradients_and_buffers, *given)[:2]

        before, parameters, memory = optimizer.minimize_step(
            xp, loss_and_gradients, state.parameters, state.slots
        )
        W = parameters[0]["W"]
        loss = xp.asarray(before, dtype=W.dtype, device=W.device)
        after = TrainState(parameters, state.buffers, memory, state.t + 1)
        return loss, _total(xp, batch[2]), after

    return take


def _total(xp: Namespace, sample_weight: Array | None) -> Array | None:
    return None if sample_weight is None else xp.sum(sample_weight)
