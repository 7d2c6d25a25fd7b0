"""JAX's loops behind `LoopCompiler.compile_loop`."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["looped", "one_by_one"]


def looped(function: Callable[..., Any], carry: Any, rows: Any, shared: Any, count: Any) -> Any:
    """Return what `LoopCompiler.compile_loop` says, traced once."""

    def step(index: Any, so_far: tuple[Any, Any]) -> tuple[Any, Any]:
        carry, results = so_far
        row = jax.tree.map(lambda column: column[index], rows)
        carry, result = function(carry, row, shared)
        return carry, jax.tree.map(lambda all_, one: all_.at[index].set(one), results, result)

    first = jax.tree.map(lambda column: column[0], rows)
    length = jax.tree.leaves(rows)[0].shape[0]
    results = jax.tree.map(
        lambda one: jnp.zeros((length, *one.shape), one.dtype),
        jax.eval_shape(function, carry, first, shared)[1],
    )
    return jax.lax.fori_loop(0, count, step, (carry, results))


def one_by_one(function: Callable[..., Any], carry: Any, rows: Any, shared: Any, count: int) -> Any:
    """Return the same, operation by operation: of a function that looks at values."""
    found = []
    for index in range(count):
        row = jax.tree.map(lambda column, index=index: column[index], rows)
        carry, result = function(carry, row, shared)
        found.append(result)
    return carry, jax.tree.map(lambda *each: jnp.stack(each), *found)
