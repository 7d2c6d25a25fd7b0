"""The reproducible namespace over JAX: settings that change, functions that it traces, leaks."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pluggable_mlp import ArithmeticUnavailable, reproducible, to_native
from pluggable_mlp.backends import BackendUnavailable

jax = pytest.importorskip("jax", reason="JAX is not installed")
jnp = jax.numpy


OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "product": lambda xp, x: x @ x,
    "exp": lambda xp, x: xp.exp(x),
    "numbers": lambda xp, x: xp.asarray([1.0]),
    "norm": lambda xp, x: xp.linalg.vector_norm(x),
    "part": lambda xp, x: x[0, ...],
}


@pytest.mark.parametrize(
    ("setting", "value"),
    [("default_matmul_precision", "BF16_BF16_F32"), ("enable_x64", False)],
)
@pytest.mark.parametrize("name", OPERATIONS)
def test_settings_that_change_later_are_refused(name: str, setting: str, value: Any) -> None:
    xp = reproducible(jnp)
    x = xp.asarray(np.eye(3))
    OPERATIONS[name](xp, x)
    with getattr(jax, setting)(value), pytest.raises(BackendUnavailable, match=f"jax_{setting}"):
        OPERATIONS[name](xp, x)


FUNCTIONS = (
    "exp", "expm1", "log1p", "log2", "tanh", "sigmoid", "softplus", "erf", "sqrt", "rsqrt",
    "square", "sum", "mean", "var", "prod", "cumulative_prod", "abs",
)  # fmt: skip


@pytest.mark.parametrize("transform", ["jit", "vmap", "grad"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_jax_traces_is_refused(transform: str, dtype: str) -> None:
    """It would change bits: of erf in float64, those of every twentieth number."""
    xp = reproducible(jnp)
    outside = xp.asarray(np.ones((4, 4), dtype))
    seen = []

    def traced(x: Any) -> Any:
        with pytest.raises(ArithmeticUnavailable, match="call it outside of the traced function"):
            xp.asarray(x)
        inside = xp.wrap(x)
        for name in FUNCTIONS:
            with pytest.raises(ArithmeticUnavailable, match="what JAX traces"):
                getattr(xp, name)(inside)
        for operation in (
            lambda: inside + outside,
            lambda: outside * inside,
            lambda: inside @ outside,
            lambda: inside > 0.0,
            lambda: xp.concat([outside, inside]),
        ):
            with pytest.raises(ArithmeticUnavailable, match="what JAX traces"):
                operation()
        if transform == "jit":  # it traces what is made of constants, too
            with pytest.raises(ArithmeticUnavailable, match="what JAX traces"):
                xp.exp(outside)
        seen.append(transform)
        return jnp.sum(x)

    x = jnp.ones((2, 4, 4) if transform == "vmap" else (4, 4), dtype=dtype)
    getattr(jax, transform)(traced)(x)
    assert seen


def test_a_namespace_for_tracing_may_be_traced() -> None:
    def product(x: Any) -> Any:
        xp = reproducible(jnp, None).for_tracing()
        return to_native(xp.wrap(x) @ xp.wrap(x))

    np.testing.assert_array_equal(jax.jit(product)(jnp.eye(3)), np.eye(3))
