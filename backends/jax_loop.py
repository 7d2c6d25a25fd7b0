"""JAX's loops behind `Abilities.compile`, where calls are combined."""

from collections.abc import Callable
from functools import partial
from operator import itemgetter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from .jax_compile import CompiledFunction, jitted

Function = Callable[..., Any]
Tree = Any
"""Nested lists, tuples and dicts of arrays."""
Rows = dict[str, Any]
"""An array (most,) of numbers, or a list of them, by name, perhaps in nested dicts."""


def compiled_loop(function: Function, most: int) -> Function:
    """Return combined calls, see `Abilities.compile`: one `jax.lax.fori_loop` for all counts."""
    run = CompiledFunction(
        partial(one_by_one, function),
        (0,),
        lambda _, used_up: jitted(partial(looped, function, most), used_up),
    )

    def padded(numbers: list[float]) -> npt.NDArray[np.float64]:
        column = np.zeros((most, *np.shape(numbers[0])))
        column[: len(numbers)] = numbers
        return column

    def loop(carry: Tree, rows: Rows, shared: Tree, count: int) -> Tree:
        columns = jax.tree.map(padded, rows, is_leaf=lambda numbers: isinstance(numbers, list))
        return run(carry, columns, shared, count)

    return loop


def looped(
    function: Function, length: int, carry: Tree, rows: Rows, shared: Tree, count: jax.Array
) -> tuple[Tree, Tree]:
    """Return the last carry and the results, traced once: of arrays (length,) as rows."""

    def row_at(index: jax.Array | int) -> Tree:
        return jax.tree.map(itemgetter(index), rows)

    def step(index: jax.Array, so_far: tuple[Tree, Tree]) -> tuple[Tree, Tree]:
        carry, results = so_far
        carry, result = function(carry, index, row_at(index), shared)
        return carry, jax.tree.map(lambda rows, row: rows.at[index].set(row), results, result)

    shapes = jax.eval_shape(function, carry, jnp.asarray(0), row_at(0), shared)[1]
    results = jax.tree.map(lambda one: jnp.zeros((length, *one.shape), one.dtype), shapes)
    last: tuple[Tree, Tree] = jax.lax.fori_loop(0, count, step, (carry, results))
    return last


def one_by_one(
    function: Function, carry: Tree, rows: Rows, shared: Tree, count: int
) -> tuple[Tree, Tree]:
    """Return the same, operation by operation: of a function that looks at values."""
    results = []
    for index in range(count):
        row = jax.tree.map(jnp.asarray, jax.tree.map(itemgetter(index), rows))
        carry, result = function(carry, index, row, shared)
        results.append(result)
    return carry, jax.tree.map(lambda *rows: jnp.stack(rows), *results)
