"""Random programs in the reproducible namespace: the same bits, or the same kind of error.

A program makes arrays, and operates on them, their views, copies and aliases; after each statement
all arrays have the same bits on every library, the older ones among them.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from pluggable_mlp import reproducible, to_native
from pluggable_mlp.backends import Backend

SHAPES = ((), (3,), (2, 3), (1, 3), (3, 2), (3, 3), (0, 3))
DTYPES = ("float32", "float64", "uint8", "int8", "int64", "bool")
SMALLEST = {"float32": 2.0**-126, "float64": 2.0**-1022}
MOST = 12  # arrays that are kept

SCALARS = (0, 1, -1, 2, 7, 255, 256, -129, 0.0, 1.0, 0.5, -3.0, 1.0 / 3.0, 1e-39, 2.0**-126, 1e30,
           float("inf"), float("nan"), True)  # fmt: skip
UNARY = (
    "abs", "negative", "positive", "square", "sign", "exp", "expm1", "log", "log1p", "log2",
    "log10", "tanh", "sqrt", "rsqrt", "sigmoid", "softplus", "erf", "reciprocal", "ceil", "floor",
    "round", "trunc", "isfinite", "isnan", "signbit", "logical_not", "bitwise_invert", "zeros_like",
    "ones_like", "sort", "argsort", "unique_values", "nonzero",
)  # fmt: skip
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    name: getattr(operator, name)
    for name in (
        "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lshift", "rshift", "and_", "or_",
        "xor", "eq", "ne", "lt", "le", "gt", "ge",
    )
}  # fmt: skip
IN_PLACE = ("iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "iand", "ilshift")
OF_TWO = ("maximum", "minimum", "copysign", "logaddexp")
REDUCTIONS = (
    "sum", "mean", "var", "std", "prod", "max", "min", "any", "all", "argmax", "cumulative_sum",
    "cumulative_prod",
)  # fmt: skip
INDICES = (0, 1, -1, 2, 5, -4, None, ..., slice(None), slice(1, None), slice(None, None, -1),
           slice(-1, 0, -2), slice(0, 1), slice(5, 9), slice(2, 1))  # fmt: skip

picks = st.integers(0, 999)
seeds = st.integers(0, 2**32 - 1)


def numbers(seed: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return ordinary numbers, and among them zeros, denormal, huge and infinite ones, and NaN."""
    generator = np.random.default_rng(seed)
    if dtype == "bool":
        return generator.integers(0, 2, shape).astype(bool)
    if dtype not in SMALLEST:
        info = np.iinfo(dtype)
        wide = generator.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
        small = generator.integers(0 if info.min == 0 else -3, 4, shape).astype(dtype)
        return np.where(generator.random(shape) < 0.5, wide, small)
    least = SMALLEST[dtype]
    special = np.asarray([0.0, -0.0, least, -least / 2, 1.75 * least, 1 / least, np.inf, -np.inf,
                          np.nan, 1.0, -1.0, 255.0])  # fmt: skip
    ordinary = generator.normal(size=shape) * 10.0 ** generator.integers(-3, 4)
    if generator.random() < 0.6:
        return ordinary.astype(dtype)
    some = generator.choice(special, shape)
    return np.where(generator.random(shape) < 0.5, some, ordinary).astype(dtype)


def kind_of(error: Exception) -> type[Exception]:
    """Return the kind of an error: a library's own may be of a class of its own."""
    for kind in (IndexError, OverflowError, AttributeError, TypeError, ValueError):
        if isinstance(error, kind):
            return kind
    return type(error)


class Programs(RuleBasedStateMachine):
    """The same statements on all libraries."""

    backends: tuple[Backend, ...] = ()
    shapes = SHAPES

    def __init__(self) -> None:
        super().__init__()
        self.spaces = [reproducible(backend.xp) for backend in self.backends]
        self.arrays: list[list[Any]] = []  # for each the array of each library

    def do(self, statement: Callable[..., Any], *places: int) -> None:
        """Run statement(xp, *arrays) on each library; keep the array that it returns, if any."""
        chosen = [self.arrays[place % len(self.arrays)] for place in places]
        found: list[Any] = []
        for index, xp in enumerate(self.spaces):
            try:
                with np.errstate(all="ignore"):
                    result = statement(xp, *(arrays[index] for arrays in chosen))
            except Exception as error:  # compared with those of the others
                result = error
            found.append(result[0] if isinstance(result, tuple) else result)
        kinds = [kind_of(one) if isinstance(one, Exception) else None for one in found]
        assert len(set(kinds)) == 1, found
        is_kept = kinds[0] is None and found[0] is not None and found[0].size < 40
        # PyTorch stores uint64, the dtype of sums of pixels, and has few operations of it.
        if is_kept and found[0].dtype != self.spaces[0].uint64:
            self.arrays = [*self.arrays, found][-MOST:]
        self.same()

    def same(self) -> None:
        """Check all arrays: their dtypes, shapes and bits, and that none is denormal or -0."""
        for arrays in self.arrays:
            hosts = [
                backend.to_numpy(to_native(x))
                for backend, x in zip(self.backends, arrays, strict=True)
            ]
            first = hosts[0]
            for host in hosts[1:]:
                assert (host.dtype, host.shape) == (first.dtype, first.shape), hosts
                assert host.tobytes() == first.tobytes(), hosts
            if first.dtype.name in SMALLEST:
                magnitudes = np.abs(first)
                assert not np.any((magnitudes > 0.0) & (magnitudes < SMALLEST[first.dtype.name]))
                assert not np.any(np.signbit(first) & (first == 0.0))

    def shape(self, place: int) -> tuple[int, ...]:
        return self.arrays[place % len(self.arrays)][0].shape

    @rule(seed=seeds, shape=picks, dtype=st.sampled_from(DTYPES))
    def make(self, seed: int, shape: int, dtype: str) -> None:
        array = numbers(seed, self.shapes[shape % len(self.shapes)], dtype)
        arrays = [
            xp.asarray(backend.asarray(array.copy()))
            for xp, backend in zip(self.spaces, self.backends, strict=True)
        ]
        self.arrays = [*self.arrays, arrays][-MOST:]
        self.same()

    @rule(
        seed=seeds,
        dtype=st.sampled_from(("float32", "float64")),
        scale=st.sampled_from((1.0, 2.0**-8, 0.3)),
    )
    def make_pixels(self, seed: int, dtype: str, scale: float) -> None:
        self.make(seed, 2, "uint8")
        self.do(lambda xp, x: xp.astype(x, getattr(xp, dtype)) * scale, -1)

    @rule(value=st.sampled_from(SCALARS), dtype=st.sampled_from((None, *DTYPES)))
    def make_of_numbers(self, value: Any, dtype: str | None) -> None:
        def statement(xp: Any) -> Any:
            kind = None if dtype is None else getattr(xp, dtype)
            return xp.asarray([value, 1], dtype=kind)

        self.do(statement)

    @precondition(lambda self: self.arrays)
    @rule(place=picks, name=st.sampled_from(UNARY))
    def one(self, place: int, name: str) -> None:
        if self.shape(place) or name not in ("sort", "argsort", "unique_values", "nonzero"):
            self.do(lambda xp, x: getattr(xp, name)(x), place)

    @precondition(lambda self: self.arrays)
    @rule(a=picks, b=picks, name=st.sampled_from((*BINARY, *OF_TWO)))
    def two(self, a: int, b: int, name: str) -> None:
        if not self._broadcast(a, b):
            return
        self.do(lambda xp, x, y: (BINARY.get(name) or getattr(xp, name))(x, y), a, b)

    @precondition(lambda self: self.arrays)
    @rule(
        a=picks,
        value=st.sampled_from(SCALARS),
        name=st.sampled_from(tuple(BINARY)),
        left=st.booleans(),
    )
    def with_number(self, a: int, value: Any, name: str, left: bool) -> None:
        function = BINARY[name]
        self.do(lambda _, x: function(value, x) if left else function(x, value), a)

    @precondition(lambda self: self.arrays)
    @rule(a=picks, b=st.one_of(picks, st.sampled_from(SCALARS)), name=st.sampled_from(IN_PLACE))
    def in_place(self, a: int, b: Any, name: str) -> None:
        function = getattr(operator, name)
        if type(b) is not int or b < 3:
            self.do(lambda _, x: function(x, b), a)
        elif self._broadcast(a, b):
            self.do(lambda _, x, y: function(x, y), a, b)

    @precondition(lambda self: self.arrays)
    @rule(a=picks, key=st.lists(st.sampled_from(INDICES), min_size=1, max_size=3).map(tuple))
    def view(self, a: int, key: Any) -> None:
        self.do(lambda _, x: x[key], a)

    @precondition(lambda self: self.arrays)
    @rule(a=picks, key=st.sampled_from(INDICES), value=st.one_of(picks, st.sampled_from(SCALARS)))
    def write(self, a: int, key: Any, value: Any) -> None:
        if type(value) is not int or value < 3:
            self.do(lambda _, x: operator.setitem(x, key, value), a)
        else:
            self.do(lambda _, x, y: operator.setitem(x, key, y), a, value)

    @precondition(lambda self: self.arrays)
    @rule(a=picks, mask=picks, b=st.sampled_from(SCALARS))
    def masked(self, a: int, mask: int, b: Any) -> None:
        self.do(lambda _, x, y: operator.setitem(x, y > 0, b), a, mask)

    @precondition(lambda self: self.arrays)
    @rule(a=picks, dtype=st.sampled_from(DTYPES), copy=st.booleans())
    def convert(self, a: int, dtype: str, copy: bool) -> None:
        self.do(lambda xp, x: xp.astype(x, getattr(xp, dtype), copy=copy), a)

    @precondition(lambda self: self.arrays)
    @rule(a=picks, name=st.sampled_from(("mT", "reshape", "copy", "row", "stack", "flip")))
    def move(self, a: int, name: str) -> None:
        statements: dict[str, Callable[[Any, Any], Any]] = {
            "mT": lambda _, x: x.mT if x.ndim >= 2 else x,
            "reshape": lambda xp, x: xp.reshape(x, (-1,)) if x.size else x,
            "copy": lambda xp, x: xp.asarray(x, copy=True),
            "row": lambda _, x: next(iter(x)) if x.ndim and x.shape[0] else x,
            "stack": lambda xp, x: xp.concat([x, x]) if x.ndim else x,
            "flip": lambda xp, x: xp.flip(x),
        }
        self.do(statements[name], a)

    @precondition(lambda self: self.arrays)
    @rule(a=picks, name=st.sampled_from(REDUCTIONS), axis=st.sampled_from((None, 0, -1)))
    def reduce(self, a: int, name: str, axis: int | None) -> None:
        shape = self.shape(a)
        if (axis is not None and not shape) or 0 in shape or (not shape and "cumulative" in name):
            return
        self.do(lambda xp, x: getattr(xp, name)(x, axis=axis), a)

    @precondition(lambda self: self.arrays)
    @rule(a=picks, b=picks)
    def multiply(self, a: int, b: int) -> None:
        self.do(lambda _, x, y: x @ y, a, b)

    @precondition(lambda self: self.arrays)
    @rule(a=picks, b=picks, c=picks)
    def choose(self, a: int, b: int, c: int) -> None:
        if self._broadcast(a, b) and self._broadcast(a, c) and self._broadcast(b, c):
            self.do(lambda xp, x, y, z: xp.where(x > 0, y, z), a, b, c)

    def _broadcast(self, a: int, b: int) -> bool:
        """Whether the shapes of two arrays broadcast: otherwise errors are the libraries' own."""
        try:
            np.broadcast_shapes(self.shape(a), self.shape(b))
        except ValueError:
            return False
        return True


def run(backends: list[Backend], examples: int, steps: int) -> None:
    machine = type("Made", (Programs,), {"backends": tuple(backends)})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None)
    )


def without(all_backends: list[Backend], *names: str) -> list[Backend]:
    """Return the backends of other libraries, with one of NumPy."""
    found = {backend.name: backend for backend in all_backends if backend.device != "device1"}
    return [backend for name, backend in found.items() if name not in ("numpy-readonly", *names)]


def test_random_programs_have_the_same_bits(all_backends: list[Backend]) -> None:
    run(without(all_backends, "jax"), 15, 30)


@pytest.mark.nightly
@pytest.mark.slow
def test_more_random_programs_have_the_same_bits(all_backends: list[Backend]) -> None:
    run(without(all_backends, "jax", "cupy"), 300, 50)


@pytest.mark.nightly
@pytest.mark.slow
def test_random_programs_have_the_same_bits_on_jax(all_backends: list[Backend]) -> None:
    if "jax" not in [backend.name for backend in all_backends]:
        pytest.skip("jax is absent, the section on backends says why")
    run(without(all_backends, "array_api_strict", "torch", "cupy"), 25, 30)
