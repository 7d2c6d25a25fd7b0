"""Functions that JAX compiles without changing a bit: for arithmetic that fixes every rounding.

XLA fuses operations, and then contracts a * b + c into one rounding, merges constants, and divides
by multiplying with a reciprocal.  It can do so only where it sees the operation or the constant.
So the function is traced, and its operations are repeated with an added zero z, an argument whose
value XLA does not know:

- a product a * b becomes a * b + z with z = -0.0, which changes no number, not even the sign of 0.
  Contracted or not, it rounds once, and leaves nothing to contract with the sum that follows.
- quotients, sums and matrix products have z added likewise; so have divisors and constants, which
  then look like any other number.

That costs next to nothing, as a fused multiply-add takes no longer than a product.  Without fusion
(`xla_disable_hlo_passes="fusion"`) a training step takes up to three times as long and its
compilation four times, and XLA still simplifies (x + c) - c to x.

Before it is relied on, `exact_jit` is tried once per process and device on formulas whose bits
NumPy knows.
"""

import itertools
from collections.abc import Sequence
from functools import partial
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.arrays.compiling import trusted

from .tape import Function, Tree
from .transfer import HostArray

_Atom: TypeAlias = core.Var | core.Literal

_ROUNDED = ("mul", "div", "dot_general", "reduce_sum", "integer_pow", "square")
_CALLS = ("jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call")

_OPTIONS = {
    # By default XLA may skip the rounding of a number that is converted and converted back.
    "xla_allow_excess_precision": False,
    # Without these emitters XLA's CPU compiler takes three fifths of the time, and its code is as
    # fast (seen with jaxlib 0.10.2).
    "xla_cpu_use_fusion_emitters": False,
}

_ZERO = np.float64(-0.0)  # not committed to a device: it goes where the others are


def exact_jit(function: Function, used_up: tuple[int, ...] = ()) -> Function:
    """Return the compiled function, with the same bits as operation by operation.

    A computed NaN may have any sign and payload; a constant one is kept.  Sums of floats and
    products of matrices in the function must be exact in any order of additions, as those of the
    reproducible namespace are, because XLA adds the parts of concatenated, repeated or transposed
    arrays in another order.

    Parameters
    ----------
    function : callable
        As for `Abilities.compile`; JAX's control flow in it must not round.
    used_up : tuple of int
        The places of the arguments whose memory may be overwritten.
    """

    def guarded(z: jax.Array, *arguments: Tree) -> Tree:
        traced, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        results = _Guard(z).evaluate(traced.jaxpr, traced.consts, jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    donated = tuple(place + 1 for place in used_up)
    compiled = jax.jit(guarded, donate_argnums=donated, compiler_options=_OPTIONS)
    return lambda *arguments: compiled(_ZERO, *arguments)


class _Guard:
    """Evaluates a traced function, with z added where XLA must not know a number."""

    def __init__(self, z: jax.Array) -> None:
        self._z = z

    def _unknown(self, x: jax.Array) -> jax.Array:
        return x + self._z.astype(x.dtype)

    def _constant(self, literal: core.Literal) -> jax.Array:
        dtype = literal.aval.dtype
        if np.isnan(literal.val):  # z + NaN would be the device's own NaN
            return jnp.asarray(literal.val, dtype=dtype)
        if literal.val == 0.0:  # XLA would take 0.0 + z for z
            z = self._z.astype(dtype)
            return z if np.signbit(literal.val) else z * z
        return self._unknown(jnp.asarray(literal.val, dtype=dtype))

    def evaluate(
        self, jaxpr: core.Jaxpr, consts: Sequence[Tree], arguments: Sequence[Tree]
    ) -> list[Tree]:
        """Return the results of a jaxpr, as `jax.core.eval_jaxpr` would."""
        values: dict[core.Var, Tree] = {}

        def value(atom: _Atom) -> Tree:
            if not isinstance(atom, core.Literal):
                return values[atom]
            return self._constant(atom) if _is_floating(atom) else atom.val

        values |= zip(jaxpr.constvars, consts, strict=True)
        values |= zip(jaxpr.invars, arguments, strict=True)
        for equation in jaxpr.eqns:
            results = self._apply(equation, [value(atom) for atom in equation.invars])
            values |= zip(equation.outvars, results, strict=True)
        return [value(atom) for atom in jaxpr.outvars]

    def _apply(self, equation: core.JaxprEqn, operands: list[Tree]) -> Sequence[Tree]:
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


def _from_bool(equation: core.JaxprEqn) -> bool:
    """Return whether it converts booleans to 0 and 1, whose products XLA turns into selections."""
    named = equation.primitive.name == "convert_element_type"
    return named and bool(equation.invars[0].aval.dtype == bool)


def _is_floating(atom: _Atom) -> bool:
    return bool(jnp.issubdtype(atom.aval.dtype, jnp.floating))


def _inner(parameters: dict[str, object]) -> list[core.Jaxpr]:
    """Return the jaxprs among the parameters of a primitive, such as loops and branches."""
    tuples = (x if isinstance(x, tuple) else (x,) for x in parameters.values())
    values = itertools.chain.from_iterable(tuples)
    return [getattr(x, "jaxpr", x) for x in values if isinstance(x, core.ClosedJaxpr | core.Jaxpr)]


def _require_no_rounding(jaxpr: core.Jaxpr, name: str) -> None:
    for equation in jaxpr.eqns:
        if equation.primitive.name in _ROUNDED and any(map(_is_floating, equation.outvars)):
            raise NotImplementedError(f"there is no rule for {equation.primitive} within {name}")
        for inner in _inner(equation.params):
            _require_no_rounding(inner, name)


def is_exact_on(device: jax.Device) -> bool:
    """Return whether `exact_jit` keeps the bits on a device, after one trial; warn if not."""
    consequence = (
        f"JAX {jax.__version__} changes bits when it compiles here, so reproducible arithmetic "
        "runs operation by operation, which is slower"
    )
    return trusted(("exact_jit", device), partial(_keeps_bits, device), consequence)


def _keeps_bits(device: jax.Device) -> bool:
    """Return whether compiled formulas have the bits that NumPy gives."""
    host = _probes()
    expected = [y for arrays in host for y in _formulas(np, *arrays)]
    compiled = exact_jit(lambda probes: [y for arrays in probes for y in _formulas(jnp, *arrays)])
    results = [*map(np.asarray, compiled(jax.device_put(host, device)))]
    return all(x.tobytes() == y.tobytes() for x, y in zip(results, expected, strict=True))


def _probes() -> list[list[HostArray]]:
    """Return arrays a, b (64, 96), d (96,) and r (64, 1) in each dtype."""
    rng = np.random.default_rng(0)
    shapes = ((64, 96), (64, 96), (96,), (64, 1))
    arrays = [rng.standard_normal(shape) for shape in shapes]
    arrays[3] = np.abs(arrays[3]) + 0.1
    return [[x.astype(dtype) for x in arrays] for dtype in ("float32", "float64")]


def _formulas(xp: Namespace, a: Array, b: Array, d: Array, r: Array) -> list[Array]:
    """Return formulas of the arrays of `_probes` that compilers tend to round differently."""
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
