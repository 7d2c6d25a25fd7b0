"""JAX's loops behind `Compiler.compile`, where calls are combined."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .jax_compile import CompiledFunction, jitted

__all__ = ["compiled_loop", "looped", "one_by_one"]


def compiled_loop(function: Callable[..., Any], most: int) -> Callable[..., Any]:
    """Return combined calls, as `Compiler.compile` says: one `jax.lax.fori_loop` for all counts."""
    run = CompiledFunction(
        partial(one_by_one, function),
        (0,),
        lambda _, used_up: jitted(partial(looped, function, most), used_up),
    )

    def padded(numbers: list[float]) -> Any:
        column = np.zeros(most)
        column[: len(numbers)] = numbers
        return column

    def loop(carry: Any, rows: dict[str, list[float]], shared: Any, count: int) -> Any:
        return run(carry, {name: padded(rows[name]) for name in rows}, shared, count)

    return loop


def looped(
    function: Callable[..., Any], length: int, carry: Any, rows: Any, shared: Any, count: Any
) -> Any:
    """Return the last carry and the results, traced once: of arrays (length,) as rows."""

    def row_at(index: Any) -> Any:
        return {name: column[index] for name, column in rows.items()}

    def step(index: Any, so_far: tuple[Any, Any]) -> tuple[Any, Any]:
        carry, results = so_far
        carry, result = function(carry, index, row_at(index), shared)
        return carry, jax.tree.map(lambda all_, one: all_.at[index].set(one), results, result)

    shapes = jax.eval_shape(function, carry, jnp.asarray(0), row_at(0), shared)[1]
    results = jax.tree.map(lambda one: jnp.zeros((length, *one.shape), one.dtype), shapes)
    return jax.lax.fori_loop(0, count, step, (carry, results))


def one_by_one(function: Callable[..., Any], carry: Any, rows: Any, shared: Any, count: int) -> Any:
    """Return the same, operation by operation: of a function that looks at values."""
    found = []
    for index in range(count):
        row = {name: jnp.asarray(column[index]) for name, column in rows.items()}
        carry, result = function(carry, index, row, shared)
        found.append(result)
    return carry, jax.tree.map(lambda *each: jnp.stack(each), *found)
