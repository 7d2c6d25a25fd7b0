"""What CuPy does in one launch, on the simulated one: how many there are, and with which bits."""

from functools import partial

import numpy as np
import pytest

from pluggable_mlp import get_backend, reproducible
from pluggable_mlp.namespaces import unwrapped
from pluggable_mlp.namespaces.speculation import as_numbers, wrapped
from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.shortcuts import in_one_kernel
from pluggable_mlp.training.components import OPTIMIZERS, make_optimizer
from pluggable_mlp.training.optimizer import GradientDescent
from pluggable_mlp.training.trees import map_nested
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


def assert_same_bits(found, expected):
    assert found.dtype == expected.dtype
    bits = f"u{found.dtype.itemsize}"
    same = (found.view(bits) == expected.view(bits)) | (np.isnan(found) & np.isnan(expected))
    assert same.all(), f"{np.sum(~same)} of {same.size} differ"


def fused(function, *arguments, namespace=xp):
    """Return what a compiled function returns when it is fused, and its launches."""
    call = get_backend("cupy").compile(partial(as_one(function), namespace))
    for _ in range(3):  # then it is known that it comes again
        call(*arguments)
    with counting() as counts:
        result = call(*arguments)
    assert not counts.waits
    return result, counts.launches


def as_one(function):
    """Return a function that `partial` does not take apart."""

    def call(*arguments):
        return function(*arguments)

    return call


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


def of_cupy(*shape, seed=0, dtype="float32"):
    rng = np.random.default_rng(seed)
    return get_backend("cupy").asarray(rng.normal(0, 3, shape).astype(dtype))


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


def test_a_program_that_is_refused_is_not_used(monkeypatch):
    """Not the trial of its kernel, on arrays with one axis, but what is launched."""
    call_kernel = cupy.ElementwiseKernel.__call__

    def refused(self, *arguments, **settings):
        if any(getattr(x, "ndim", 0) == 2 for x in arguments):
            raise cupy.cuda.memory.OutOfMemoryError(512, 0)
        return call_kernel(self, *arguments, **settings)

    monkeypatch.setattr(cupy.ElementwiseKernel, "__call__", refused)
    x = of_cupy(5, 4)
    call = get_backend("cupy").compile(partial(lambda ns, x: (x * 3.2 + 1.8) * x, xp))
    for _ in range(2):
        expected = call(x)
    with pytest.warns(UserWarning, match="goes on operation by operation.*OutOfMemoryError"):
        assert_same_bits(call(x).get(), expected.get())
    assert_same_bits(call(x).get(), expected.get())


def test_a_program_that_gives_other_bits_is_not_used():
    """It is said where warnings are errors, too."""
    x, factors = of_cupy(50), iter(range(2, 9))
    call = get_backend("cupy").compile(partial(lambda ns, x: x * float(next(factors)), xp))
    for _ in range(2):
        call(x)
    with pytest.raises(UserWarning, match="operation by operation.*other bits"):
        call(x)


def test_bits_of_nan_may_differ(monkeypatch):
    """As the sign of one, which 0 / 0 leaves open."""
    run = cupy.ElementwiseKernel._run

    def negated(self, part, variables):
        run(self, part, variables)
        memory = variables["y0"].memory
        variables["y0"].memory = np.where(np.isnan(memory), -memory, memory)

    monkeypatch.setattr(cupy.ElementwiseKernel, "_run", negated)
    x = get_backend("cupy").asarray(np.array([0.0, np.nan, 1.0], "float32"))
    found, launches = fused(lambda ns, x: (x - 1.25) * 0.75 + x, x)
    assert launches.total() == 1
    assert_same_bits(found.get(), ((x - 1.25) * 0.75 + x).get())


def test_powers_and_deviations_are_those_of_cupy():
    x = of_cupy(40, 3)
    for function, launches in (
        (lambda ns, x: (x * 2.0 + 1.0) ** 2, 2),
        (lambda ns, x: (x * x + 1.0) ** 0.5, 2),
        (lambda ns, x: (x * 2.0 + 1.0) ** -1.0, 2),
        (lambda ns, x: (x * x + 1.0) ** 1.7, 2),
        (lambda ns, x: ns.var(x * 2.0 + 1.0, axis=0, correction=1), 4),
        (lambda ns, x: ns.std(x * 2.0 + 1.0, axis=0), 5),
    ):
        found, counted = fused(function, x)
        assert counted.total() == launches, counted
        assert_same_bits(found.get(), function(xp, x).get())


def overwritten(ns, x, m):
    a = x * 2.0
    v = a[:3]
    v += m
    return a


def overwritten_by_its_owner(ns, x, m):
    a = x * 2.0
    v = a[:3]
    a += m[0, ...]
    return v * 1.0


def overwritten_view(ns, x, m):
    v = (x * 2.0)[:3]
    v += m
    return v


@pytest.mark.parametrize(
    ("function", "launches"),
    [(overwritten, 2), (overwritten_by_its_owner, 3), (overwritten_view, 2)],
)
def test_what_shares_memory_that_is_overwritten_is_so_too(function, launches):
    x, m = of_cupy(5, 4), of_cupy(3, 4, seed=1)
    found, counted = fused(function, x, m)
    assert counted.total() == launches, counted
    assert_same_bits(found.get(), function(xp, x, m).get())


def many(ns, arrays):
    return [x * 0.5 + 1.0 for x in arrays]


@pytest.mark.parametrize(
    ("shapes", "launches"),
    [
        ([(3, 2)] * 50, 2),  # 48 bytes for each of 100 arrays of 2 axes, of 4 KB
        ([(3, n) for n in range(2, 52)], 2),
        ([(n,) for n in range(2, 52)], 1),  # 32 bytes, and 16 of a range
        ([(2, 3, n) for n in range(2, 102)], 4),  # 64 bytes, and 16
    ],
)
def test_more_arrays_than_a_kernel_takes_are_as_few_launches_as_can_be(shapes, launches):
    arrays = [of_cupy(*shape, seed=seed) for seed, shape in enumerate(shapes)]
    found, counted = fused(many, arrays)
    assert counted.total() == launches, counted
    for one, other in zip(found, many(xp, arrays), strict=True):
        assert_same_bits(one.get(), other.get())


def chained(ns, arrays):
    y, all_of_them = arrays[0], []
    for x in arrays[1:]:
        y = y * 0.5 + x
        all_of_them.append(y)
    return all_of_them


def test_parts_of_a_long_chain_are_launched_in_order():
    arrays = [of_cupy(3, 2, seed=seed) for seed in range(70)]
    found, counted = fused(chained, arrays)
    assert 2 <= counted.total() <= 4, counted
    for one, other in zip(found, chained(xp, arrays), strict=True):
        assert_same_bits(one.get(), other.get())


def looking(ns, x):
    return x * 2.0 if float(x[0, ...]) > 0.0 else x


def test_a_single_function_that_cannot_be_fused_runs_as_it_is():
    x = get_backend("cupy").asarray(np.ones(3, "float32"))
    assert in_one_kernel(xp, looking, x).get().tolist() == [2.0] * 3


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
        *((n, n, True) for n in (129, 512)),
        (512, 511, False),
        (513, 513, False),
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
            m = 3 if n <= 128 else n // 2  # then there are as many sums as numbers in each
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
