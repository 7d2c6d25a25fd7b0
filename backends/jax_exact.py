"""Functions that JAX compiles without changing a bit: for arithmetic that fixes every rounding.

XLA fuses operations, and then contracts a * b + c into one rounding, merges constants, and divides
by multiplying with a reciprocal.  It does so only with what it knows.  So the function is traced,
and every operation of it done again with a zero that XLA does not know, since it is an argument:

- a product a * b becomes a * b + z with z = -0.0, which changes no number, not even the sign of 0.
  Contracted or not, it rounds once, and leaves nothing to contract to the sum that follows.
- quotients, sums and matrix products have z added likewise; so have divisors and constants, which
  then look like any other number.

That costs next to nothing, as a fused multiply-add takes no longer than a product.  Without fusion
(`xla_disable_hlo_passes="fusion"`) a training step takes up to three times as long and its
compilation four times, and still XLA takes (x + c) - c for x.

`exact_jit` is tried once per process and device, on formulas whose bits NumPy knows, before it is
relied on.
"""

import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

__all__ = ["exact_jit", "is_exact_on"]

_ROUNDED = ("mul", "div", "dot_general", "reduce_sum", "integer_pow", "square")
_CALLS = ("jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call")

# What XLA may do with a number between two conversions, and is not to.
_OPTIONS = {"xla_allow_excess_precision": False}

# Without these emitters XLA's CPU compiler takes three fifths of the time, and what it compiles is
# as quick (seen with jaxlib 0.10.2).  Versions that do not know the option go without.
_EMITTERS = {"xla_cpu_use_fusion_emitters": False}


def exact_jit(function: Callable[..., Any], used_up: tuple[int, ...] = ()) -> Callable[..., Any]:
    """Return the compiled function, which gives the bits that it gives operation by operation.

    NaN is NaN, of any sign and payload.

    Parameters
    ----------
    function : callable
        As `Compiler.compile` wants it; of what JAX has, control flow may round nothing.
    used_up : tuple of int
        The places of the arguments whose memory may be written over.
    """

    def guarded(z: Any, *arguments: Any) -> Any:
        traced, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        results = _Guard(z).evaluate(traced.jaxpr, traced.consts, jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    donated = tuple(place + 1 for place in used_up)
    options = _OPTIONS | _known_emitters()
    compiled = jax.jit(guarded, donate_argnums=donated, compiler_options=options)
    return lambda *arguments: compiled(_zero(), *arguments)


@cache
def _zero() -> Any:
    return jnp.asarray(-0.0, dtype=jnp.float64)  # not committed: it goes where the others are


@cache
def _known_emitters() -> dict[str, bool]:
    try:
        jax.jit(jnp.negative, compiler_options=_EMITTERS).lower(_zero()).compile()
    except jax.errors.JaxRuntimeError:
        return {}
    return _EMITTERS


class _Guard:
    """Evaluates what was traced, with z added where XLA is not to know a number."""

    def __init__(self, z: Any) -> None:
        self._z = z

    def _unknown(self, x: Any) -> Any:
        return x + self._z.astype(x.dtype)

    def _constant(self, literal: Any) -> Any:
        dtype = literal.aval.dtype
        if literal.val == 0.0:  # XLA would take 0.0 + z for z
            z = self._z.astype(dtype)
            return z if np.signbit(literal.val) else z * z
        return self._unknown(jnp.asarray(literal.val, dtype=dtype))

    def evaluate(self, jaxpr: Any, consts: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
        """Return the results of a jaxpr, as `jax.core.eval_jaxpr` would."""
        known: dict[Any, Any] = {}

        def value(of: Any) -> Any:
            if not isinstance(of, core.Literal):
                return known[of]
            return self._constant(of) if _is_floating(of) else of.val

        known |= zip(jaxpr.constvars, consts, strict=True)
        known |= zip(jaxpr.invars, arguments, strict=True)
        for equation in jaxpr.eqns:
            results = self._apply(equation, [value(of) for of in equation.invars])
            known |= zip(equation.outvars, results, strict=True)
        return [value(of) for of in jaxpr.outvars]

    def _apply(self, equation: Any, operands: list[Any]) -> Sequence[Any]:
        primitive, parameters = equation.primitive, equation.params
        if primitive.name in _CALLS:
            inner = parameters.get("jaxpr") or parameters["call_jaxpr"]
            return self.evaluate(inner.jaxpr, inner.consts, operands)
        for inner in _inner(parameters):
            _require_no_rounding(inner, primitive.name)
        floating = any(map(_is_floating, equation.outvars))
        if primitive.name == "div" and floating:
            operands[1] = self._unknown(operands[1])
        results = primitive.bind(*operands, **parameters)
        if primitive.multiple_results:
            return list(results)
        guarded = primitive.name in _ROUNDED or _from_bool(equation)
        return [self._unknown(results) if guarded and floating else results]


def _from_bool(equation: Any) -> bool:
    """Whether it makes 0 and 1 of booleans: XLA would take a product with them for a selection."""
    named = equation.primitive.name == "convert_element_type"
    return named and bool(equation.invars[0].aval.dtype == bool)


def _is_floating(of: Any) -> bool:
    return bool(jnp.issubdtype(of.aval.dtype, jnp.floating))


def _inner(parameters: dict[str, Any]) -> list[Any]:
    """Return the jaxprs among the parameters of a primitive: of loops and branches."""
    values = [x for value in parameters.values() for x in _as_tuple(value)]
    return [getattr(x, "jaxpr", x) for x in values if isinstance(x, core.ClosedJaxpr | core.Jaxpr)]


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _require_no_rounding(jaxpr: Any, name: str) -> None:
    for equation in jaxpr.eqns:
        if equation.primitive.name in _ROUNDED and any(map(_is_floating, equation.outvars)):
            raise NotImplementedError(f"there is no rule for {equation.primitive} within {name}")
        for inner in _inner(equation.params):
            _require_no_rounding(inner, name)


@cache
def is_exact_on(device: Any) -> bool:
    """Whether `exact_jit` keeps the bits on a device, in this process; else a warning."""
    host = _probes()
    expected = [y for of_dtype in host for y in _formulas(np, *of_dtype)]
    try:
        compiled = exact_jit(lambda probes: [y for of in probes for y in _formulas(jnp, *of)])
        found = [*map(np.asarray, compiled(jax.device_put(host, device)))]
        reason = "its results differ" if _differ(found, expected) else ""
    except Exception as error:  # whatever a compiler may raise
        reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    if reason:
        warnings.warn(
            f"JAX {jax.__version__} does not keep the bits of what it compiles here ({reason}): "
            "reproducible arithmetic goes on operation by operation, which is slower",
            stacklevel=3,
        )
    return not reason


def _probes() -> list[list[np.ndarray[Any, Any]]]:
    """Return arrays a, b (64, 96), d (96,) and r (64, 1) in each dtype."""
    rng = np.random.default_rng(0)
    shapes = ((64, 96), (64, 96), (96,), (64, 1))
    made = [rng.standard_normal(shape) for shape in shapes]
    made[3] = np.abs(made[3]) + 0.1
    return [[x.astype(dtype) for x in made] for dtype in ("float32", "float64")]


def _formulas(xp: Any, a: Any, b: Any, d: Any, r: Any) -> list[Any]:
    """Return what compilers like to round otherwise, of the arrays of `_probes`."""
    y = a * b + d
    z = (y * y + a) * b - d * a
    e = (z * 0.3333333 + y) * 1.7 + 3.3
    polynomial = ((a * 0.1 + 0.2) * a + 0.3) * a + 0.4
    on_grid = (a + 3.0 * 2.0**20) - 3.0 * 2.0**20
    nan = xp.where(a > 1.0, float("nan"), a) * (a < 0.5).astype(a.dtype)
    wide = a.astype("float64")
    integers = xp.floor(wide * 1000.0)
    narrow = (wide * b.astype("float64")).astype("float32").astype("float64")
    return [
        y,
        z,
        e,
        polynomial,
        on_grid,
        a * (1.0 / r) - b,
        1.0 / (a * a + 0.5) * b + 1.0 / (1.0 / (r + 0.25)),
        xp.where(e > 0.0, e * a + b, e - a * b),
        (a * 0.1) * 0.7 + (b + 0.1) - 0.1,
        xp.where(a > 0.0, a, -0.0) + 0.0,
        narrow * 3.0 - b,
        xp.isnan(nan),
        1.0 / xp.sqrt(wide * wide + 0.5),
        integers @ integers.T + d[:64] * 0.1,
        xp.sum(integers, axis=0) + d * 0.1,
    ]


def _differ(found: list[Any], expected: list[Any]) -> bool:
    return any(x.tobytes() != y.tobytes() for x, y in zip(found, expected, strict=True))
