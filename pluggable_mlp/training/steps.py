"""`Steps` takes all training steps and owns the state.

There are three ways: a loop in Python, a compiled function (of one step or of many), and L-BFGS,
which asks for the loss as a function.  All but the last are `step` of `step.py`; the functions that
backends compile are here, below the class.
"""

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from pluggable_mlp.arrays import Array, Namespace, Nested, device_of, dtype_name, map_nested
from pluggable_mlp.arrays.compiling import compiled
from pluggable_mlp.arrays.shortcuts import backend_at, own
from pluggable_mlp.backends import Backend
from pluggable_mlp.namespaces import run
from pluggable_mlp.namespaces.reproducible.array import native_of
from pluggable_mlp.namespaces.reproducible.namespace import ReproducibleNamespace
from pluggable_mlp.namespaces.reproducible.tiling import SMALL
from pluggable_mlp.network.layers import Address, Seed, as_words
from pluggable_mlp.network.loss import total_weight
from pluggable_mlp.network.mlp import MLP, loss_gradients_and_buffers
from pluggable_mlp.network.parameters import Tree, first_array, merged
from pluggable_mlp.training.components import AnyOptimizer, without_rate
from pluggable_mlp.training.examples import Examples
from pluggable_mlp.training.lbfgs import LBFGS
from pluggable_mlp.training.losses import LossRecord
from pluggable_mlp.training.optimizer import Coefficients, Optimizer, Update, each_array
from pluggable_mlp.training.step import (
    Result,
    StateArrays,
    StepModel,
    TrainState,
    differentiate,
    step,
)
from pluggable_mlp.training.streaming import FEW_EXAMPLES

STEPS_PER_CALL = 4096
"""The most steps of a call, in a loop that is compiled once for all counts of steps.

With 1, XLA compiles no loop, and Muon's native bits on JAX differ; with 8, 64 and 4096 they agree.
"""

SECONDS_PER_CALL = 0.1
"""Target duration of one call of many steps.  The display is updated between calls."""

PRODUCTS_OF_FIRST_CALL = 2**27
"""Numbers of the state times examples, in the first call of many steps: about a tenth of a second.

Fewer than 64 examples count as 64, since the update may take longer than their products.
"""

MANY_NUMBERS = 2**18
"""If a state has this many numbers or more, calls of many steps overwrite a copy, made by a call
of its own; otherwise they leave the state as it is and return a new one.
"""

Function = Callable[..., Nested]


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
        With arrays of `xp`; it is not changed.
    backend : Backend
    batch_size : int
    seed : int, or pair of words
        For several networks perhaps arrays (…, 1): see `random_numbers`.
    micro_batch : int, optional
        How many examples of a batch are computed at once; by default all.
    numbers : tuple of arrays, optional
        Each of several networks' numbers of dropout; by default those of the mlp.

    Attributes
    ----------
    xp, mlp, optimizer, backend, batch_size, seed, micro_batch
        As given.
    names : list of dict
        The names of the parameters of each layer, in their order.
    at_once : int
        The best number of steps for `take`: one, or as many as are taken together.
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
        numbers: tuple[Array, ...] | None = None,
    ) -> None:
        self.xp: Namespace = xp
        self.mlp: MLP = mlp
        self.optimizer: AnyOptimizer = optimizer
        self.backend: Backend = backend
        self.batch_size: int = batch_size
        self.seed: Seed = seed
        self.micro_batch: int | None = micro_batch
        self._state, self._is_owned, self._is_wrapped = state, False, True
        self.names: list[dict[str, None]] = [
            dict.fromkeys(layer) for layer in merged(state.parameters, state.buffers)
        ]
        self._words, self._numbers = as_words(seed), numbers
        examples = dtype_name(kind.dtype), kind.scale
        self._model = StepModel(mlp.general, without_rate(optimizer), micro_batch, *examples)
        self._is_native = xp is backend.xp
        if self._is_native and own(xp, "in_one_kernel"):
            self._model = replace(self._model, fused=True)
        updater = own(xp, "updater") if self._is_native else None
        self._updater: Update | None = updater and updater(first_array(state.parameters))
        # Unbound: an object that refers to itself would keep its arrays until it is collected.
        self._step_of_size: dict[int, Function] = {}
        self._loop: Function | None = None
        self.at_once: int = 1
        self._last = optimizer
        self._way = self._chosen_way(optimizer)

    @property
    def t(self) -> int:
        """The number of updates so far."""
        return self._state.t

    @property
    def state(self) -> TrainState:
        """The state after the steps so far, unchanged by later ones."""
        self._is_owned = False
        return self._wrapped_state()

    @state.setter
    def state(self, state: TrainState) -> None:
        self._state, self._is_owned, self._is_wrapped = state, False, True

    def _wrapped_state(self) -> TrainState:
        """Return the state with arrays of `xp`; after an exact step they are the library's."""
        if not self._is_wrapped:
            self._state, self._is_wrapped = self.xp.wrap(self._state), True
        return self._state

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

    def placed(self, block: Examples) -> Examples:
        """Return a block with its order on the device.

        A small one stays on the host if steps are combined, as those calls move it.
        """
        order = block.order
        if order is None or (self._loop is not None and order.size <= FEW_EXAMPLES):
            return block
        return replace(block, order=self.backend.asarray(order))

    def _change_to(self, optimizer: AnyOptimizer) -> None:
        """Compile anew if more than the rate differs, as after a user-defined `after`."""
        is_equal = optimizer == self._model.optimizer
        self._model = replace(self._model, optimizer=optimizer)
        if not is_equal:
            self._step_of_size = {}
            self._way = self._chosen_way(optimizer)

    def _chosen_way(self, optimizer: AnyOptimizer) -> Callable[..., None]:
        if isinstance(optimizer, LBFGS):
            return Steps._take_by_lbfgs
        if self._is_native and self._updater is None:
            model = replace(self._model, size=self.batch_size, fused=True)
            function = partial(_step_of_loop, self.xp, model)
            sizes: list[int] = []
            map_nested(lambda x: sizes.append(math.prod(x.shape)), self._state[:-1])
            self._is_copied = sum(sizes) < MANY_NUMBERS
            used_up = () if self._is_copied else (0,)
            self._loop = compiled(self.backend, function, *used_up, most=STEPS_PER_CALL)
            if self._loop is not None:
                fitting = PRODUCTS_OF_FIRST_CALL // (sum(sizes) * max(self.batch_size, 64))
                self.at_once = max(1, min(fitting, STEPS_PER_CALL))
                return Steps._take_in_calls
        return Steps._take_each

    @property
    def _address(self) -> Address:
        """The address of the next step."""
        t = self._state.t
        return t, self._words, self.mlp.numbers_at(t) if self._numbers is None else self._numbers

    def _own(self) -> StateArrays:
        """Return the state's arrays, which no caller holds and which may be overwritten."""
        if not self._is_owned:
            copies: Function = partial(_copies, self.xp)
            copies = compiled(backend_at(self.xp), copies) or copies
            self._state = TrainState._make([*copies(self._state[:-1]), self._state.t])
            self._is_owned = True
        return self._state[:-1]

    # A loop in Python

    def _take_each(
        self, optimizer: Optimizer, examples: Examples, starts: Sequence[int], losses: LossRecord
    ) -> None:
        count = len(examples)
        for start in starts:
            size = min(self.batch_size, count - start)
            take = self._step_of_size.get(size) or self._new_step(size)
            c = optimizer.coefficients_at(self._state.t)
            loss, weight, after = take(self, c, self._address, examples.arrays, start)
            self._state = TrainState._make([*after, self._state.t + 1])
            losses.add(loss, size, weight)

    def _new_step(self, size: int) -> Function:
        """Return (steps, c, address, data, start) -> result of a step on batches of a size."""
        xp = self.xp
        model = replace(self._model, size=size)
        faster, uses_up = None, True
        if self._updater is None and self._is_native:
            call = partial(step, xp, replace(model, fused=True))
            faster = compiled(self.backend, call, _ARRAYS)
            if faster is None:  # it may be traced, which fuses nothing
                faster, uses_up = compiled(self.backend, partial(step, xp, model)), False
        elif isinstance(xp, ReproducibleNamespace) and (xp.queued or self._has_small_products):
            # Without a queue, products large enough to be cut into tiles are faster in tiles.
            call = partial(_exact_step, xp, model)
            faster = compiled(self.backend, call, _ARRAYS, exact=True)
        if faster is not None:
            take = partial(Steps._take_compiled, faster=faster, uses_up=uses_up)
        else:
            model = replace(model, optimizer=None)  # of users or not, it is applied later
            function = partial(differentiate, xp, model)
            traced = compiled(self.backend, function) if self._is_native else None
            take = partial(Steps._take_one, traced=traced or function)
        self._step_of_size[size] = take
        return take

    def _take_one(
        self, c: Coefficients, address: Address, data: Nested, start: int, *, traced: Function
    ) -> Result:
        """Take a step that is not compiled as a whole."""
        arrays, update = self._wrapped_state()[:-1], each_array
        if self._updater is not None:
            update = partial(self._updater, in_place=self._is_owned)
        elif isinstance(self.xp, ReproducibleNamespace):
            c, address = self.xp.as_numbers((c, address))
        arguments = self.xp, self._model, c, address, arrays, data, start
        result = step(*arguments, traced=traced, update=update)
        if not self._is_owned and self._updater is not None:  # it has returned new arrays
            self._is_owned = _identities(arrays).isdisjoint(_identities(result[2]))
        return result

    # A compiled step

    def _take_compiled(
        self,
        c: Coefficients,
        address: Address,
        data: Nested,
        start: int,
        *,
        faster: Function,
        uses_up: bool,
    ) -> Result:
        arrays = self._own() if uses_up else self._state[:-1]
        result: Result
        if self._is_native:
            result = faster(c, address, arrays, data, start)
        else:
            arrays = native_of(arrays) if self._is_wrapped else arrays
            loss, weight, after = faster(c, address, arrays, native_of(data), start)
            result, self._is_wrapped = (*self.xp.wrap((loss, weight)), after), False
        return result

    # Many steps in one call

    def _take_in_calls(
        self, optimizer: Optimizer, examples: Examples, starts: Sequence[int], losses: LossRecord
    ) -> None:
        """Take the whole batches in one call of the backend, and a smaller one by itself."""
        count = len(starts) - (starts[-1] + self.batch_size > len(examples))
        if count:
            begin, t = time.perf_counter(), self._state.t
            rows = self._rows(optimizer, range(t, t + count))
            first = self._address, examples.arrays, starts[0]
            arrays = self._state[:-1] if self._is_copied else self._own()
            assert self._loop is not None
            after, (means, weights) = self._loop(arrays, rows, first, count)
            self._state = TrainState._make([*after, t + count])
            losses.add_stack(means, [self.batch_size] * count, weights)
            self._adapt(count, time.perf_counter() - begin)
        self._take_each(optimizer, examples, starts[count:], losses)

    def _rows(self, optimizer: Optimizer, counts: range) -> Coefficients:
        """Return a list for each coefficient and each of the network's numbers that vary."""
        rows = optimizer.coefficients_of(counts)
        if self._numbers is not None or not callable(self.mlp.dropout):
            return rows
        numbers = zip(*map(self.mlp.numbers_at, counts), strict=True)
        return {**rows, _NUMBERS: {str(place): [*column] for place, column in enumerate(numbers)}}

    def _adapt(self, count: int, seconds: float) -> None:
        """Adjust the next call to about `SECONDS_PER_CALL`, given the time of the last one.

        A quick call of fewer steps than were allowed says little: most of it may be the call.
        """
        if count == self.at_once or seconds > SECONDS_PER_CALL:
            fitting = int(count * SECONDS_PER_CALL / seconds)
            self.at_once = max(1, min(fitting, 8 * count, STEPS_PER_CALL))

    @property
    def _has_small_products(self) -> bool:
        """Whether no product of reproducible steps is cut into tiles."""
        rows = min(self.batch_size, self.micro_batch or self.batch_size)
        layers = zip(self.mlp.layers_with_parameters, self._state.parameters, strict=True)
        weights = [arrays[name] for layer, arrays in layers for name in layer.weights]
        return rows * max(math.prod(W.shape) for W in weights) < SMALL

    # L-BFGS

    def _take_by_lbfgs(
        self, optimizer: LBFGS, examples: Examples, starts: Sequence[int], losses: LossRecord
    ) -> None:
        """Take an iteration of L-BFGS on all examples."""
        xp, mlp, (parameters, buffers, slots, t) = self.xp, self.mlp, self._state
        batch = examples.batch(xp, 0, len(examples))

        def loss_and_gradients(parameters: Tree) -> tuple[float, Tree]:
            trees = parameters, buffers, *batch
            call = loss_gradients_and_buffers, (mlp, 0), *trees
            loss, gradients, _ = run(xp, *call, numbers=(None,))  # it draws no random numbers
            return float(loss), gradients

        before, parameters, memory = optimizer.minimize_step(
            xp, loss_and_gradients, parameters, slots
        )
        w = first_array(parameters)
        loss = xp.asarray(before, dtype=w.dtype, device=device_of(w))
        self._state = TrainState(parameters, buffers, memory, t + 1)
        losses.add(loss, len(examples), total_weight(xp, batch[2]))


def _identities(arrays: StateArrays) -> set[int]:
    """Return the identities of the arrays of parameters and slots."""
    parameters, _, slots = arrays
    layers = itertools.chain(parameters, *slots.values())
    return {id(array) for layer in layers for array in layer.values()}


_ARRAYS = 2
"""The place of the state's arrays among the arguments of a compiled step, which uses them up."""


def _exact_step(
    base: ReproducibleNamespace,
    model: StepModel,
    c: Coefficients,
    address: Address,
    arrays: StateArrays,
    data: Nested,
    start: int | Array,
) -> Result:
    """Return `step` in a reproducible namespace, for the library's arrays."""
    xp = base.for_tracing()
    examples = model.examples(xp, data)
    rows = xp.wrap(examples.rows_of(base.library, start, model.size))
    c, address = xp.as_numbers((c, address))
    batch = examples.floats_of(xp, rows)
    result: Result = native_of(step(xp, model, c, address, xp.wrap(arrays), batch))
    return result


_NUMBERS = "numbers of the network"


def _step_of_loop(
    xp: Namespace,
    model: StepModel,
    arrays: StateArrays,
    index: Array,
    row: Coefficients,
    first: tuple[Nested, ...],
) -> tuple[StateArrays, tuple[Array, Array | None]]:
    """Return the arrays of the state after a step of a loop, and its loss and weight.

    `first` is the input of the first step; the row is of this one.
    """
    (t, seed, numbers), data, start = first
    # A float would take the dtype of arrays beside it, so the coefficients do.
    c = map_nested(lambda number: xp.astype(number, getattr(xp, model.dtype)), row)
    numbers = tuple(c.pop(_NUMBERS, {}).values()) or numbers
    address, place = (t + index, seed, numbers), start + index * model.size
    loss, weight, after = step(xp, model, c, address, arrays, data, place)
    return after, (loss, weight)


def _copies(xp: Namespace, nested: Nested) -> Nested:
    return map_nested(partial(xp.asarray, copy=True), nested)
