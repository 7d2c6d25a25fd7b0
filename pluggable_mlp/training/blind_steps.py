"""Reproducible steps on devices with a queue: many of them between two looks at a value.

A look waits for the device, and nothing that looks can be compiled.  So a chunk of steps is taken
by namespaces that do not look (`ReproducibleNamespace.without_looking`), each compiled as a whole
where the backend does so exactly; a flag on the device tells whether all of that was right.  It is
read at the end of the chunk.  Where it is raised, the chunk is taken again, from the state before
it, by a namespace that looks.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.namespaces.reproducible import ReproducibleNamespace
from pluggable_mlp.namespaces.reproducible.array import native_of
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.training.batches import Batch, Examples
from pluggable_mlp.training.kept import made_once
from pluggable_mlp.training.optimizer_contract import Coefficients, Optimizer
from pluggable_mlp.training.step import TrainState, map_state, step
from pluggable_mlp.training.trees import Tree, map_arrays

__all__ = ["BlindSteps", "blind_outputs", "outputs"]

Outputs = tuple[Array, Array | None, Array]

Function = Callable[..., Any]
BatchOf = Callable[[Examples, Any, Any], Batch]


class BlindSteps:
    """Takes the steps of a chunk without looking, and says whether that was right.

    Parameters
    ----------
    base : ReproducibleNamespace
        That of the state and of the examples.
    mlp, optimizer, examples, backend, batch_size, seed
        As `make_batch_step` has them; the optimizer is not L-BFGS.
    """

    def __init__(
        self,
        base: ReproducibleNamespace,
        mlp: MLP,
        optimizer: Optimizer,
        examples: Examples,
        *,
        backend: Any,
        batch_size: int,
        seed: int,
    ) -> None:
        self._base, self._backend, self._batch_size = base, backend, batch_size
        kind = examples.kind
        self._made = partial(_blind_step, base, mlp, optimizer, kind, seed)
        self._single = self._made(lambda given, xp, start: given.batch(xp, start, batch_size))
        self._compile = getattr(backend, "compile_exactly", None)
        self._steps = cache(self._step_of_size)

    def _step_of_size(self, size: int) -> Function:
        """Return the step on a batch of that size, compiled where the backend does that."""
        if self._compile is None:
            return self._single
        base, mlp, optimizer, kind, seed = self._made.args
        settings = ("step", base, kind, seed, size, type(self._backend), self._backend.device)
        make = partial(self._compile, self._made(partial(_gathered, size)), (0,))
        return made_once((mlp, optimizer), settings, make) or self._single

    def __call__(
        self,
        optimizer: Optimizer,
        state: TrainState,
        examples: Examples,
        starts: Sequence[int],
        on_step: Callable[[int], None],
    ) -> tuple[list[tuple[Array, int, Array | None]], TrainState, bool]:
        """Return (loss, examples, weight) of each step, the state after them, and if all is right.

        The optimizer is the one given before, with the learning rate of its epoch.  Waits once.
        """
        wrap = self._base.wrap
        wrong = self._backend.asarray(False, dtype="bool")
        copy = partial(self._base.library.asarray, copy=True)  # compiled steps use theirs up
        after = map_state(lambda x: copy(x.native) if self._compile else x.native, state)
        data = native_of(examples.arrays)
        taken = []
        for start in starts:
            size = min(self._batch_size, len(examples) - start)
            take = self._steps(size)
            coefficients = optimizer.coefficients_at(after.t)
            loss, weight, arrays, wrong = take(
                after[:-1], after.t, coefficients, data, start, wrong
            )
            after = TrainState._make([*arrays, after.t + 1])
            taken.append((wrap(loss), size, None if weight is None else wrap(weight)))
            on_step(size)
        return taken, map_state(wrap, after), not bool(wrong)


def outputs(xp: Namespace, mlp: MLP, parameters: Tree, batch: Batch) -> Outputs:
    """Return the loss of a batch, the sum of its weights, if any, and the outputs (batch, out)."""
    x, targets, sample_weight = batch
    z, _ = mlp.forward(xp, parameters, x)
    loss, _ = mlp.objective(xp, z, targets, sample_weight)
    return loss, None if sample_weight is None else xp.sum(sample_weight), z


def _gathered(size: int, given: Examples, xp: Any, start: Any) -> Batch:
    return given.gathered(xp, start, size)


def _blind_step(
    base: ReproducibleNamespace,
    mlp: MLP,
    optimizer: Optimizer,
    examples: Examples,
    seed: int,
    batch_of: BatchOf,
) -> Function:
    """Return a step as a pure function of the library's arrays and of numbers.

    It is (arrays of the state, t, coefficients, data, start, wrong) -> (loss, weight, arrays,
    wrong), wrong being whether any step up to this one must look.
    """

    def blind_step(
        arrays: Any,
        t: Any,
        coefficients: Coefficients,
        data: Any,
        start: Any,
        wrong: Any,
    ) -> tuple[Array, Array | None, Any, Array]:
        xp = base.without_looking()
        known = partial(_known, xp)
        batch = batch_of(examples.with_arrays(map(known, data)), xp, known(start))
        state = map_state(xp.wrap, TrainState._make([*arrays, known(t)]))
        numbers = {name: _number(xp, value) for name, value in coefficients.items()}
        loss, after = step(xp, mlp, optimizer, state, batch, numbers, seed)
        weight = None if batch[2] is None else xp.sum(batch[2])
        found = native_of((loss, weight, after[:-1]))
        return (*found, wrong | xp.must_look(found[0]))

    return blind_step


def blind_outputs(
    base: ReproducibleNamespace,
    mlp: MLP,
    parameters: Tree,
    examples: Examples,
    *,
    backend: Any,
    batch_size: int,
) -> list[Outputs] | None:
    """Return `outputs` of each batch, computed without looking; None where that was not right."""
    take = partial(_blind_outputs, base, mlp, examples.kind)
    if hasattr(backend, "compile_exactly"):
        settings = ("outputs", base, examples.kind, type(backend), backend.device)
        take = made_once((mlp,), settings, partial(backend.compile_exactly, take)) or take
    wrong = backend.asarray(False, dtype="bool")
    data = native_of(examples.arrays)
    trees = native_of(parameters)
    found: list[Any] = []
    for start in range(0, len(examples), batch_size):
        batch = [None if x is None else x[start : start + batch_size, ...] for x in data]
        *results, wrong = take(trees, batch, wrong)
        found.append(tuple(None if x is None else base.wrap(x) for x in results))
    return None if bool(wrong) else found


def _blind_outputs(
    base: ReproducibleNamespace, mlp: MLP, examples: Examples, trees: Any, data: Any, wrong: Any
) -> tuple[Any, ...]:
    xp = base.without_looking()
    given = examples.with_arrays(map(partial(_known, xp), data))
    batch = given.batch(xp, 0, len(given))
    found = native_of(outputs(xp, mlp, map_arrays(xp.wrap, trees), batch))
    return (*found, wrong | xp.must_look(found[0]))


def _known(xp: ReproducibleNamespace, value: Any) -> Any:
    """Return arrays of the library as those of the namespace; Python numbers and None stay."""
    return value if value is None or isinstance(value, int) else xp.wrap(value)


def _number(xp: ReproducibleNamespace, value: Any) -> Any:
    """Return what a compiler put in the place of a Python float; or the float."""
    return value if isinstance(value, float | int) else xp.number(value)
