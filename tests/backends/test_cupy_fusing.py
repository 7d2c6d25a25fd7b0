"""What CuPy does in one launch, on the simulated one: how many there are, and with which bits."""

from functools import partial

import numpy as np
import pytest

from pluggable_mlp import get_backend, reproducible
from pluggable_mlp.arrays import map_nested
from pluggable_mlp.namespaces import unwrapped
from pluggable_mlp.namespaces.calls import as_numbers, wrapped
from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.training.components import OPTIMIZERS, make_optimizer
from pluggable_mlp.training.optimizer import GradientDescent
from tests.backends.fused import as_one, assert_same_bits, fused, of_cupy
from tests.backends.fused_sources import COMPILER, computed, kernel_calls
from tests.simulated_cupy import counting, cupy, xp

pytestmark = pytest.mark.simulated_cupy

DTYPES = ("float32", "float64")
ELEMENTARY = (
    "exp", "expm1", "log", "log1p", "log2", "log10", "tanh", "sqrt", "rsqrt", "reciprocal",
    "sigmoid", "softplus", "erf",
)  # fmt: skip


def hard(dtype):
    """Return numbers of every magnitude, those where functions end, and special ones.

    No denormal ones: a GPU flushes those of float32.
    """
    rng = np.random.default_rng(5)
    whole = np.dtype(dtype).itemsize
    bits = rng.integers(0, 256, 20_000 * whole, dtype=np.uint8).view(dtype)
    info = np.finfo(dtype)
    special = [0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, info.max, -info.max, info.smallest_normal]
    x = np.concatenate(
        [bits, rng.normal(0, 3, 10_000), rng.uniform(-760, 760, 10_000), special],
        dtype=dtype,
        casting="same_kind",
    )
    return np.where(np.abs(x) < info.smallest_normal, 0, x).astype(dtype)


def applied(ns, name, x):
    return getattr(ns, name)(ns.wrap(x)).native


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTARY)
def test_an_elementary_function_is_one_launch_with_its_bits(name, dtype):
    x = hard(dtype)
    ns = reproducible(get_backend("numpy").xp)
    with np.errstate(all="ignore"):
        expected = applied(ns, name, x)
    argument = get_backend("cupy").asarray(x)
    found, launches = fused(applied_to(name), argument, namespace=reproducible(xp, None))
    assert launches.total() == 1, launches
    assert_same_bits(found.get(), expected)


def applied_to(name):
    return lambda ns, x: applied(ns, name, x)


@pytest.mark.skipif(COMPILER is None, reason="there is no g++")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "name",
    [pytest.param(of, marks=() if of == "sigmoid" else pytest.mark.slow) for of in ELEMENTARY],
)
def test_the_source_gives_the_bits_when_a_compiler_compiles_it(name, dtype, tmp_path):
    x = hard(dtype)
    with np.errstate(all="ignore"):
        expected = applied(reproducible(get_backend("numpy").xp), name, x)
    argument = get_backend("cupy").asarray(x)
    call = get_backend("cupy").compile(partial(applied_to(name), reproducible(xp, None)))
    for _ in range(3):
        call(argument)
    with kernel_calls() as calls:
        call(argument)
    (only,) = calls
    (found,) = computed(only, tmp_path)
    assert_same_bits(found, expected)


def entered(ns, trees):
    """Return the arrays in a namespace: those of a library are in it already."""
    return wrapped(ns, trees) if hasattr(ns, "library") else trees


def activated(activation, ns, x, dy):
    x, dy = entered(ns, [x, dy])
    y, backward = activation(ns, x)
    return unwrapped((y, backward(dy)))


def own_activation(ns, x):
    """An activation of a user: x exp(-x²) with a lower end."""
    y = ns.exp(x * x * -1.0)
    return ns.maximum(x * y, -0.25), lambda dy: ns.where(x * y > -0.25, y, 0.0) * dy


@pytest.mark.parametrize("arithmetic", ["native", "reproducible"])
@pytest.mark.parametrize("name", [*ACTIVATIONS, "own"])
def test_an_activation_with_its_backward_is_one_launch(name, arithmetic):
    activation = own_activation if name == "own" else ACTIVATIONS[name]
    ns = xp if arithmetic == "native" else reproducible(xp, None)
    x, dy = of_cupy(64, 10), of_cupy(64, 10, seed=1)
    expected = activated(activation, ns, x, dy)
    found, launches = fused(partial(activated, activation), x, dy, namespace=ns)
    assert launches.total() == (0 if name == "identity" and ns is xp else 1), launches
    for one, other in zip(found, expected, strict=True):
        assert_same_bits(one.get(), other.get())


def scaled_rows(ns, x):
    """Divide by two factors of rows, which an operation needs that is not elementwise."""
    largest = ns.max(ns.abs(x), axis=1, keepdims=True)
    factor = 1.0 / (largest + 1.0)
    return x * (factor * 0.5), x * (factor + 2.0)


def test_what_is_broadcast_is_computed_within_the_kernel_that_reads_it():
    x = of_cupy(40, 30)
    expected = scaled_rows(xp, x)
    found, launches = fused(scaled_rows, x, namespace=xp)
    assert launches == {"fused": 2, "max": 1}  # magnitudes, and all the rest
    for one, other in zip(found, expected, strict=True):
        assert_same_bits(one.get(), other.get())


def two_sums(ns, x):
    """Sum both parts of a split; the second follows from the first by two operations."""
    high = (x + 64.0) - 64.0
    first = ns.sum(high, axis=0)
    return first, ns.sum((x - high) * 3.0, axis=0)


def test_what_follows_from_a_result_is_computed_with_it():
    x = of_cupy(40, 30)
    expected = two_sums(xp, x)
    found, launches = fused(two_sums, x, namespace=xp)
    assert launches == {"fused": 1, "sum": 2}
    for one, other in zip(found, expected, strict=True):
        assert_same_bits(one.get(), other.get())


def updates(optimizer, ns, c, *trees):
    c = as_numbers(ns, c) if hasattr(ns, "library") else c
    return unwrapped(optimizer.update(ns, c, *entered(ns, [*trees])))


def leaves(tree):
    found = []
    map_nested(found.append, tree)
    return found


OWN_RULES = [
    name
    for name, of in OPTIMIZERS.items()
    if isinstance(of, type) and issubclass(of, GradientDescent)
]


@pytest.mark.parametrize("arithmetic", ["native", "reproducible"])
@pytest.mark.parametrize("name", [name for name in OWN_RULES if name != "muon"])
def test_an_update_of_all_arrays_is_one_launch(name, arithmetic):
    optimizer = make_optimizer(name)
    ns = xp if arithmetic == "native" else reproducible(xp, None)
    shapes = [{"W": (7, 5), "b": (5,)}, {"W": (5, 3), "b": (3,)}]
    parameters, gradients = (
        [{key: of_cupy(*shape, seed=seed) for key, shape in layer.items()} for layer in shapes]
        for seed in (0, 1)
    )
    slots = {
        slot: [{key: abs(g) for key, g in layer.items()} for layer in gradients]
        for slot in optimizer.slots
    }
    c = optimizer.coefficients_at(3)
    given = c, parameters, gradients, slots
    expected = updates(optimizer, ns, *given)
    found, launches = fused(partial(updates, optimizer), *given, namespace=ns)
    assert launches.total() == 1, launches
    for one, other in zip(leaves(found), leaves(expected), strict=True):
        assert_same_bits(one.get(), other.get())


def fused_by_compiler(function, folder, *arguments):
    """Return the results of the one kernel of a reproducible function, as g++ compiles it."""
    call = get_backend("cupy").compile(partial(as_one(function), reproducible(xp, None)))
    for _ in range(3):
        call(*arguments)
    with kernel_calls() as calls:
        call(*arguments)
    (only,) = calls
    return computed(only, folder)


@pytest.mark.slow
@pytest.mark.skipif(COMPILER is None, reason="there is no g++")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*ACTIVATIONS, "own"])
def test_an_activation_gives_its_bits_when_a_compiler_compiles_it(name, dtype, tmp_path):
    activation = own_activation if name == "own" else ACTIVATIONS[name]
    x = hard(dtype)
    dy = np.roll(x, 1234)
    with np.errstate(all="ignore"):
        expected = activated(activation, reproducible(get_backend("numpy").xp), x, dy)
    given = map(get_backend("cupy").asarray, (x, dy))
    found = fused_by_compiler(partial(activated, activation), tmp_path, *given)
    for one, other in zip(found, expected, strict=True):
        assert_same_bits(one, other)


@pytest.mark.slow
@pytest.mark.skipif(COMPILER is None, reason="there is no g++")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in OWN_RULES if name != "muon"])
def test_an_update_gives_its_bits_when_a_compiler_compiles_it(name, dtype, tmp_path):
    optimizer = make_optimizer(name)
    w = hard(dtype)

    def trees(asarray):
        parameters = [{"W": asarray(w[:2000]), "b": asarray(w[2000:9000])}]
        gradients = [{"W": asarray(w[9000:11000]), "b": asarray(w[30000:37000])}]
        slots = [{"W": asarray(abs(w[:2000])), "b": asarray(abs(w[2000:9000]))}]
        return parameters, gradients, dict.fromkeys(optimizer.slots, slots)

    c = optimizer.coefficients_at(3)
    with np.errstate(all="ignore"):
        expected = updates(optimizer, reproducible(get_backend("numpy").xp), c, *trees(np.copy))
    given = c, *trees(get_backend("cupy").asarray)
    found = fused_by_compiler(partial(updates, optimizer), tmp_path, *given)
    by_size = {}
    for array in found:
        by_size.setdefault(array.size, []).append(array)
    for array in leaves(expected):
        assert_same_bits(by_size[array.size].pop(0), array)


def test_a_kernel_that_gives_other_bits_is_not_used(monkeypatch):
    """As a compiler would make it that rounds a * b + c once."""

    def contracted(self, part, variables):
        run(self, part, variables)
        for name in {"y0", "t2"} & {*variables}:
            variables[name].memory = np.nextafter(variables[name].memory, np.float32(9))

    run = cupy.ElementwiseKernel._run
    monkeypatch.setattr(cupy.ElementwiseKernel, "_run", contracted)
    x = of_cupy(50)
    call = get_backend("cupy").compile(partial(lambda ns, x: (x * 3.0 + 1.7) * x - 0.3, xp))
    for _ in range(2):
        expected = call(x)
    with pytest.warns(UserWarning, match="goes on operation by operation.*bits differ"):
        assert_same_bits(call(x).get(), expected.get())
    with counting() as counts:
        assert_same_bits(call(x).get(), expected.get())
    assert counts.launches.total() == 4


def test_a_kernel_that_does_not_compile_is_not_used(monkeypatch):
    def refused(*arguments, **settings):
        raise RuntimeError("NVRTC_ERROR_COMPILATION (6)")

    monkeypatch.setattr(cupy, "ElementwiseKernel", refused)
    x = of_cupy(50)
    call = get_backend("cupy").compile(partial(lambda ns, x: (x * 3.1 + 1.9) * x, xp))
    for _ in range(2):
        expected = call(x)
    with pytest.warns(UserWarning, match="NVRTC_ERROR_COMPILATION"):
        assert_same_bits(call(x).get(), expected.get())


def test_a_function_that_reads_values_runs_as_it_is():
    x = of_cupy(5)
    call = get_backend("cupy").compile(partial(lambda ns, x: x if float(x[0]) > 9 else -x, xp))
    for _ in range(4):
        assert_same_bits(call(x).get(), -x.get())


LENGTHS = (*range(1, 20), 31, 64, 100, 127, 128, 500, 512)


def sums(ns, x, axis):
    return ns.sum(ns.wrap(x), axis=axis).native


def float32_of_all_sizes(shape):
    rng = np.random.default_rng(3)
    return (rng.normal(size=shape) * 2.0 ** rng.integers(-60, 60, shape)).astype(np.float32)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(
    ("n", "others", "is_one"),
    [
        *((n, 5, True) for n in (2, 3, 100, 128)),
        *((n, 5, False) for n in (129, 512, 700)),
        *((n, 128, True) for n in (129, 512)),
        (512, 127, False),
        (513, 128, False),
    ],
)
def test_a_sum_is_one_launch_where_it_is_short_or_one_of_many(n, others, is_one, axis):
    host = float32_of_all_sizes((n, others) if axis == 0 else (others, n))
    expected = sums(reproducible(get_backend("numpy").xp), host, axis)
    x = get_backend("cupy").asarray(host)
    found, launches = fused(lambda ns, x: sums(ns, x, axis), x, namespace=reproducible(xp, None))
    assert_same_bits(found.get(), expected)
    # What follows the sum is a launch, but for that after a halving.
    assert launches.total() == (2 if is_one else n.bit_length() - 1)


@pytest.mark.skipif(COMPILER is None, reason="there is no g++")
def test_the_loops_of_a_sum_give_the_bits_when_a_compiler_compiles_them(tmp_path):
    ns = reproducible(xp, None)
    for axis in (0, 1):
        for n in LENGTHS:
            m = 3 if n <= 128 else 64  # then there are many sums
            host = float32_of_all_sizes((n, m, 2) if axis == 0 else (m, n, 2))
            x = get_backend("cupy").asarray(host)
            sums(ns, x, axis)  # tries the kernel, when it is the first
            with kernel_calls() as calls:
                sums(ns, x, axis)
            (call,) = (call for call in calls if call.kernel.name == "tree_sum")
            (found,) = computed(call, tmp_path)
            whole = sums(reproducible(get_backend("numpy").xp), host, axis)
            assert_same_bits(found.reshape(whole.shape).astype(np.float32), whole)


@pytest.mark.parametrize("name", ELEMENTARY)
def test_a_function_by_itself_is_one_launch_for_every_shape(name):
    """Outside of what is compiled, as in programs of users."""
    ns = reproducible(xp, None)
    getattr(ns, name)(ns.wrap(of_cupy(2)))  # makes the kernel and tries it
    for shape in ((5, 3), (1,), (), (2, 1, 4)):
        x = of_cupy(*shape)
        with counting() as counts:
            found = applied(ns, name, x)
        assert (found.shape, counts.launches.total()) == (shape, 1)
        assert not counts.waits
        with np.errstate(all="ignore"):
            expected = applied(reproducible(get_backend("numpy").xp), name, x.get())
        assert_same_bits(found.get(), np.asarray(expected))
