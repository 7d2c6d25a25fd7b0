"""`Steps` takes all training steps and owns the state.

There are three ways: a loop in Python, a compiled function (of one step or of many), and L-BFGS,
which asks for the loss as a function.  All but the last are `step` of `step.py`.
"""

import math
import time
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

from pluggable_mlp.arrays import Array, Namespace, device_of, dtype_name, map_nested
from pluggable_mlp.backends import Backend
from pluggable_mlp.compile_cache import compiled_once
from pluggable_mlp.namespaces import run
from pluggable_mlp.namespaces.reproducible import ReproducibleNamespace
from pluggable_mlp.namespaces.reproducible.array import native_of
from pluggable_mlp.namespaces.reproducible.tiling import SMALL
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.network.names import is_weight
from pluggable_mlp.network.passes import first_array
from pluggable_mlp.network.philox import Seed, as_words
from pluggable_mlp.shortcuts import own
from pluggable_mlp.training.components import AnyOptimizer, without_rate
from pluggable_mlp.training.examples import Examples
from pluggable_mlp.training.lbfgs import LBFGS
from pluggable_mlp.training.losses import LossRecord, total_weight
from pluggable_mlp.training.optimizer import Coefficients, Optimizer, Update, each_array
from pluggable_mlp.training.step import At, Differentiated, TrainState, share_arrays, updated
from pluggable_mlp.training.step_functions import (
    StepModel,
    copier,
    differentiate_batch,
    exact_step,
    loss_and_gradients_of,
    step_of_loop,
    varying_numbers,
    whole_step,
)
from pluggable_mlp.training.trees import Tree, merge

STEPS_PER_CALL = 4096
"""At most, in a loop, which is compiled once for all counts of steps.

With 1 here XLA compiles no loop, and Muon's native bits on JAX are others; those with 8, 64 and
4096 agree.
"""

SECONDS_PER_CALL = 0.05
"""Target duration of one call of many steps.  The display is updated between calls."""

Function = Callable[..., Any]


class Steps:
    """Takes the steps of one training.

    Parameters
    ----------
    xp
        The namespace of the training.
    mlp : MLP
    optimizer : Optimizer or LBFGS
    kind : Examples
        Without arrays: the dtype and the scale of the examples.
    state : TrainState
        Of arrays of `xp`; it is not changed.
    backend : Backend
    batch_size : int
    seed : int, or pair of words
        Of several networks perhaps arrays (…, 1): see `random_numbers`.
    micro_batch : int, optional
        How many examples of a batch are computed at once; by default all.

    Attributes
    ----------
    xp, mlp, optimizer, backend, batch_size, seed
        As given.
    names : list of dict
        The names of the parameters of each layer, in their order.
    at_once : int
        How many steps `take` had best be given: one, or as many as are taken together.
    """

    def __init__(
        self,
        xp: Namespace,
        mlp: MLP,
        optimizer: AnyOptimizer,
        kind: Examples,
        state: TrainState,
        *,
        backend: Backend,
        batch_size: int,
        seed: Seed,
        micro_batch: int | None = None,
    ) -> None:
        self.xp, self.mlp, self.optimizer, self.backend = xp, mlp, optimizer, backend
        self.batch_size, self.seed = batch_size, seed
        self._state, self._is_owned = state, False
        self.names = [dict.fromkeys(of) for of in merge(state.parameters, state.buffers)]
        self._words = as_words(seed)
        settings = dtype_name(kind.dtype), kind.scale, micro_batch
        self._model = StepModel(mlp.general, without_rate(optimizer), *settings)
        self._is_native = xp is backend.xp
        updater = own(xp, "updater") if self._is_native else None
        w = first_array(state.parameters)
        self._updater: Update | None = None if updater is None else updater(w)
        self._functions: dict[tuple[Function, int], Function | None] = {}
        self._loop: Function | None = None
        self.at_once, self._most = 1, 1
        self._last = optimizer
        # Unbound: an object that refers to itself would keep its arrays until it is collected.
        self._way = self._chosen_way(optimizer)

    @property
    def t(self) -> int:
        """How many updates there were."""
        return self._state.t

    @property
    def state(self) -> TrainState:
        """The state after the steps so far, which later ones leave as it is."""
        self._is_owned = False
        return self._state

    @state.setter
    def state(self, state: TrainState) -> None:
        self._state, self._is_owned = state, False

    def restarted(self, state: TrainState) -> "Steps":
        """Return steps of the same training from another state, which they leave as it is."""
        other = copy(self)
        other.state = map_nested(self.xp.asarray, state)
        return other

    def take(
        self,
        optimizer: AnyOptimizer,
        examples: Examples,
        starts: Sequence[int],
        losses: LossRecord,
    ) -> None:
        """Take a step on each of the batches that begin at `starts`, and record their losses.

        The examples have the dtype and scale of `kind`.  The optimizer is the one given at first,
        or what its `after` returned for the epoch.
        """
        if optimizer is not self._last:
            self._last = optimizer
            self._change_to(without_rate(optimizer))
        self._way(self, optimizer, examples, starts, losses)

    def _change_to(self, optimizer: AnyOptimizer) -> None:
        """Compile anew where more than the rate is another, as `after` of a user may have it."""
        if optimizer != self._model.optimizer:
            self._model = replace(self._model, optimizer=optimizer)
            self._functions = {}
            self._way = self._chosen_way(optimizer)

    def _chosen_way(self, optimizer: AnyOptimizer) -> Callable[..., None]:
        if isinstance(optimizer, LBFGS):
            return Steps._take_by_lbfgs
        if self._updater is not None:
            return Steps._take_each
        if self._is_native:
            function = partial(step_of_loop, self.xp, self._model, self.batch_size)
            self._loop = self._compiled(function, most=STEPS_PER_CALL)
            if self._loop is not None:
                self._most = STEPS_PER_CALL  # at first one: the call includes compilation
                return Steps._take_in_calls
        return Steps._take_each

    def _compiled(self, function: partial[Any], *used_up: int, **settings: Any) -> Function | None:
        compile_function = getattr(self.backend, "compile", None)
        if compile_function is None:
            return None
        owner = type(self.backend), self.backend.device
        return compiled_once(compile_function, owner, function, *used_up, **settings)

    def _at(self, t: int) -> At:
        """Return the numbers of the step that follows t others, besides the coefficients."""
        return t, self._words, self.mlp.numbers_at(t)

    def _own(self) -> TrainState:
        """Return the state, which no caller holds, to be written over."""
        if not self._is_owned:
            self._state = TrainState._make([*copier(self.xp)(self._state[:-1]), self._state.t])
            self._is_owned = True
        return self._state

    # A loop in Python

    def _take_each(
        self, optimizer: Optimizer, examples: Examples, starts: Sequence[int], losses: LossRecord
    ) -> None:
        count = len(examples)
        for start in starts:
            size = min(self.batch_size, count - start)
            take = self._take_one if self._whole_step(size) is None else self._take_compiled
            coefficients = optimizer.coefficients_at(self._state.t)
            loss, weight = take(optimizer, coefficients, examples, start, size)
            losses.add(loss, size, weight)

    def _take_one(
        self,
        optimizer: Optimizer,
        coefficients: Coefficients,
        examples: Examples,
        start: int,
        size: int,
    ) -> tuple[Array, Array | None]:
        """Take a step that is not compiled as a whole; return its loss and weight."""
        state = self._state
        at = self._at(state.t)
        if isinstance(self.xp, ReproducibleNamespace):
            at, coefficients = self.xp.as_numbers((at, coefficients))
        weight, *parts = self._differentiate(size)(
            state.parameters,
            state.buffers,
            at,
            optimizer.gradient_scale(coefficients),
            examples.arrays,
            start,
        )
        found = Differentiated(*parts)
        update = each_array
        if self._updater is not None:
            update = partial(self._updater, in_place=self._is_owned)
        self._state = updated(self.xp, optimizer, state, coefficients, found, update)
        if not self._is_owned and self._updater is not None:  # it has returned new arrays
            self._is_owned = not share_arrays(state, self._state)
        return found.loss, weight

    def _differentiate(self, size: int) -> Function:
        """Return `differentiate_batch` for a size of batches, compiled where that is exact."""
        key = differentiate_batch, size
        if key not in self._functions:
            model = replace(self._model, optimizer=None)  # of users or not, it is applied later
            function = partial(differentiate_batch, self.xp, model, size)
            compiled = self._compiled(function) if self._is_native else None
            self._functions[key] = compiled or function
        found = self._functions[key]
        assert found is not None
        return found

    # A compiled step

    def _take_compiled(
        self,
        optimizer: Optimizer,
        coefficients: Coefficients,
        examples: Examples,
        start: int,
        size: int,
    ) -> tuple[Array, Array | None]:
        take = self._whole_step(size)
        assert take is not None
        *arrays, t = self._own()
        given = tuple(arrays), self._at(t), coefficients, examples.arrays, start
        loss, weight, after = take(*given)
        self._state = TrainState._make([*after, t + 1])
        return loss, weight

    def _whole_step(self, size: int) -> Function | None:
        """Return the step compiled; None also where the library has an updater of its own."""
        if self._updater is not None:
            return None
        if self._is_native:
            return self._compiled_step(whole_step, size)
        return self._compiled_step(exact_step, size, exact=True) if self._is_exact else None

    # Many steps in one call

    def _take_in_calls(
        self, optimizer: Optimizer, examples: Examples, starts: Sequence[int], losses: LossRecord
    ) -> None:
        """Take the whole batches in one call of the backend, and a smaller one by itself."""
        count = len(starts) - (starts[-1] + self.batch_size > len(examples))
        if count:
            begin = time.perf_counter()
            *arrays, t = self._own()
            counts = range(t, t + count)
            rows = {**optimizer.coefficients_of(counts), **varying_numbers(self.mlp, counts)}
            shared = starts[0], self._at(t), examples.arrays
            assert self._loop is not None
            after, (found, weights) = self._loop(tuple(arrays), rows, shared, count)
            self._state = TrainState._make([*after, t + count])
            losses.add_stack(found, [self.batch_size] * count, weights)
            self._adapt(count, time.perf_counter() - begin)
        self._take_each(optimizer, examples, starts[count:], losses)

    def _adapt(self, count: int, seconds: float) -> None:
        """Let the next call take about `SECONDS_PER_CALL`, after one that took so long.

        A quick call of fewer steps than were allowed says little: most of it may be the call.
        """
        if count == self.at_once or seconds > SECONDS_PER_CALL:
            fitting = int(count * SECONDS_PER_CALL / seconds)
            self.at_once = max(1, min(fitting, 8 * count, self._most))

    # Reproducible steps

    @cached_property
    def _is_exact(self) -> bool:
        """Whether reproducible steps are compiled: on a queue, or where products are small.

        Elsewhere, products that are large enough to be cut into tiles are quicker with these.
        """
        if not isinstance(self.xp, ReproducibleNamespace):
            return False
        rows = min(self.batch_size, self._model.micro_batch or self.batch_size)
        arrays = [item for layer in self._state.parameters for item in layer.items()]
        weights = [math.prod(array.shape) for name, array in arrays if is_weight(name)]
        return self.xp.queued or rows * max(weights) < SMALL

    def _compiled_step(self, step: Function, size: int, **settings: bool) -> Function | None:
        """Return a step for a size of batches compiled, which uses the state up, or None."""
        key = step, size
        if key not in self._functions:
            found = self._compiled(partial(step, self.xp, self._model, size), 0, **settings)
            if found is not None and isinstance(self.xp, ReproducibleNamespace):
                found = partial(_on_native, self.xp, found)
            self._functions[key] = found
        return self._functions[key]

    # L-BFGS

    def _take_by_lbfgs(
        self, optimizer: LBFGS, examples: Examples, starts: Sequence[int], losses: LossRecord
    ) -> None:
        """Take an iteration of L-BFGS on all examples."""
        xp, mlp, (parameters, buffers, slots, t) = self.xp, self.mlp, self._state
        batch = examples.batch(xp, 0, len(examples))

        def loss_and_gradients(parameters: Tree) -> tuple[float, Tree]:
            given = parameters, buffers, *batch
            loss, gradients = run(
                xp, loss_and_gradients_of, (mlp.general,), *given, numbers=(mlp.numbers_at(t),)
            )
            return float(loss), gradients

        before, parameters, memory = optimizer.minimize_step(
            xp, loss_and_gradients, parameters, slots
        )
        w = first_array(parameters)
        loss = xp.asarray(before, dtype=w.dtype, device=device_of(w))
        self._state = TrainState(parameters, buffers, memory, t + 1)
        losses.add(loss, len(examples), total_weight(xp, batch[2]))


def _on_native(xp: ReproducibleNamespace, function: Function, *given: Any) -> Any:
    """Return what a function of the library's arrays returns, as arrays of the namespace."""
    return xp.wrap(function(*native_of(given)))
