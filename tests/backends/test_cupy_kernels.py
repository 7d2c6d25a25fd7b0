"""Elementwise functions of CuPy as one kernel: the bits of its operations, and what prevents it."""

import numpy as np
import pytest

from pluggable_mlp import get_backend, reproducible
from pluggable_mlp.arrays import map_nested
from pluggable_mlp.arrays.shortcuts import entries, in_one_kernel
from pluggable_mlp.namespaces.reproducible.array import native_of
from pluggable_mlp.network.layers import Dense
from pluggable_mlp.training.components import OPTIMIZERS, make_optimizer
from pluggable_mlp.training.optimizer import GradientDescent, UpdateArguments, each_array
from tests.backends.on_cupy import assert_same_bits, of_cupy
from tests.emulated_card import counting

cupy = pytest.importorskip("cupy")
cupy_kernels = pytest.importorskip("pluggable_mlp.backends.cupy_kernels")
cupy_tracing = pytest.importorskip("pluggable_mlp.backends.cupy_tracing")
xp = pytest.importorskip("array_api_compat.cupy")

pytestmark = pytest.mark.usefixtures("cupy_backend")

NUMPY = get_backend("numpy").xp
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
    bits = rng.integers(0, 256, 20_000 * np.dtype(dtype).itemsize, dtype=np.uint8).view(dtype)
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
    with np.errstate(all="ignore"):
        expected = applied(reproducible(NUMPY), name, x)
    argument, ns = get_backend("cupy").asarray(x), reproducible(xp, None)
    assert_same_bits(applied(ns, name, argument).get(), expected)
    for shape in ((), (1,), (5, 3), (2, 0)):  # whatever the shape
        small = of_cupy(*shape, dtype=dtype)
        with counting() as counts:
            found = applied(ns, name, small)
        assert (found.shape, counts.launches, counts.waits) == (shape, int(found.size > 0), 0)


def of_floats(ns, x, y, number):
    kept = ns.where(ns.abs(x) < 2.5, x * number, -y)
    total = ns.minimum(ns.maximum(kept + y, -4.0), 4.0 * number) / 3.0
    return ns.sqrt(ns.abs(total)), ns.round(total) + ns.floor(x) - ns.ceil(y), x * y + total


def of_integers(ns, x, y, number):
    high = (x >> 3) ^ (y & 0xFF) | (x << 2)
    return high + number, ns.astype(high > 4, ns.float64) * 0.5, ~high - x * y


def of_tables(ns, x, number):
    index = ns.astype(ns.abs(x), ns.int64) - 2  # from the end, too
    table = np.linspace(1.0, 2.0, 17)
    return entries(ns, ns.asarray(table), index) * number + x


def of_numbers(ns, x, one, other):
    """Numbers among themselves are as on the host, and beside float32 they are that."""
    return x * (1.0 - one * other) + (one + 3) / 7.0


GENERATOR = np.random.default_rng(0)
FLOATS = [GENERATOR.normal(0, 3, (7, 5)).astype("float32") for _ in range(2)]
INTEGERS = [GENERATOR.integers(-90, 90, (7, 5)) for _ in range(2)]


@pytest.mark.parametrize(
    ("function", "operands"),
    [
        (of_floats, (*FLOATS, 0.1)),
        (of_floats, (FLOATS[0], FLOATS[1][0], 0.1)),
        (of_floats, (FLOATS[0][:, ::2], FLOATS[1][:, 1:4], 0.1)),
        (of_floats, (FLOATS[0].T, FLOATS[1].T.astype("float64"), 0.1)),
        (of_integers, (*INTEGERS, 5)),
        (of_integers, (INTEGERS[0], INTEGERS[1][:1].astype("int32"), 5)),
        (of_numbers, (FLOATS[0], 0.1, 3)),
    ],
)
def test_operations_have_the_bits_and_dtypes_of_numpy(function, operands):
    expected = function(NUMPY, *operands)
    uploaded = [cupy.asarray(x) if isinstance(x, np.ndarray) else x for x in operands]
    in_one_kernel(xp, function, *uploaded)  # tries it
    with counting() as counts:
        found = in_one_kernel(xp, function, *uploaded)
    assert counts.launches == 1
    for one, other in zip(_tuple(found), _tuple(expected), strict=True):
        assert_same_bits(one.get(), other)


def _tuple(results):
    return results if isinstance(results, tuple) else (results,)


def test_entries_of_a_table_are_those_of_numpy():
    index = cupy.asarray(FLOATS[0].astype("float64"))
    expected = of_tables(NUMPY, FLOATS[0].astype("float64"), 3.0)
    in_one_kernel(xp, of_tables, index, 3.0)
    with counting() as counts:
        found = in_one_kernel(xp, of_tables, index, 3.0)
    assert counts.launches == 1
    assert_same_bits(found.get(), expected)


def test_tables_are_on_the_device_of_the_operands(cupy_devices):
    for device in cupy_devices:
        backend = get_backend(f"cupy:{device}")
        index = backend.asarray(FLOATS[0].astype("float64"))
        with backend.context():
            found = in_one_kernel(xp, of_tables, index, 2.0)
        assert_same_bits(found.get(), of_tables(NUMPY, FLOATS[0].astype("float64"), 2.0))


def leaves(tree):
    found = []
    map_nested(found.append, tree)
    return found


OWN_RULES = [
    name
    for name, optimizer in OPTIMIZERS.items()
    if isinstance(optimizer, type) and issubclass(optimizer, GradientDescent) and name != "muon"
]


def trees(asarray):
    shapes = [{"W": (7, 5), "b": (5,)}, {"W": (5, 3), "b": (3,)}]
    return [
        [
            {
                key: asarray(np.random.default_rng(seed).normal(size=shape).astype("float32"))
                for key, shape in layer.items()
            }
            for layer in shapes
        ]
        for seed in range(2)
    ]


def updated(optimizer, ns, asarray, t):
    parameters, gradients = trees(asarray)
    slots = {
        slot: [{key: abs(g) for key, g in layer.items()} for layer in gradients]
        for slot in optimizer.slots
    }
    c = optimizer.coefficients_at(t)
    arrays = (parameters, gradients, slots)
    if hasattr(ns, "wrap"):
        arrays = map_nested(ns.wrap, arrays)
    return native_of(
        optimizer.update(UpdateArguments(ns, c, *arrays, [Dense(1, 1)] * 2, each_array))
    )


@pytest.mark.parametrize("arithmetic", ["native", "reproducible"])
@pytest.mark.parametrize("name", OWN_RULES)
def test_an_update_is_one_launch_for_each_array(name, arithmetic):
    optimizer, asarray = make_optimizer(name), get_backend("cupy").asarray
    ns = xp if arithmetic == "native" else reproducible(xp, None)
    like = NUMPY if arithmetic == "native" else reproducible(NUMPY)
    updated(optimizer, ns, asarray, 0)
    trees(asarray)
    with counting() as uploads:
        arguments = trees(asarray)
        [abs(g) for _ in optimizer.slots for g in leaves(arguments[1])]
    with counting() as counts:
        found = updated(optimizer, ns, asarray, 3)
    decayed = 2 if "decay" in optimizer.coefficients_at(3) else 0  # of each W, before its rule
    decayed *= 1 if arithmetic == "native" else 2
    assert counts.launches - uploads.launches == 4 + decayed
    for one, other in zip(leaves(found), leaves(updated(optimizer, like, np.copy, 3)), strict=True):
        if arithmetic == "reproducible":
            assert_same_bits(one.get(), other)
        else:
            np.testing.assert_allclose(one.get(), other, rtol=3e-6, atol=1e-6)


# What stands in the way


def contracted(ns, x):
    return (x * 3.0 + 1.7) * x - 0.3


def test_a_kernel_that_gives_other_bits_is_not_used(monkeypatch):
    """As NVRTC makes it without `--fmad=false`: it rounds a * b + c once."""
    monkeypatch.setattr("pluggable_mlp.backends.cupy_kernels.OPTIONS", ())
    x = of_cupy(50, dtype="float64")
    with pytest.warns(UserWarning, match="goes on operation by operation.*results differ"):
        found = in_one_kernel(xp, contracted, x)
    assert_same_bits(found.get(), contracted(xp, x).get())
    with counting() as counts:
        assert_same_bits(in_one_kernel(xp, contracted, x).get(), found.get())
    assert counts.launches == 4


def tried_later(ns, x):
    return (x * 3.2 + 1.3) * x


def test_a_trial_that_runs_out_of_memory_is_made_again(monkeypatch):
    x = of_cupy(50)
    with monkeypatch.context() as planted:

        def full(*_):
            raise cupy.cuda.memory.OutOfMemoryError(512, 0, 0)

        planted.setattr(cupy_kernels, "_hard", full)
        expected = in_one_kernel(xp, tried_later, x)
        assert_same_bits(expected.get(), tried_later(xp, x).get())
    in_one_kernel(xp, tried_later, x)
    with counting() as counts:
        assert_same_bits(in_one_kernel(xp, tried_later, x).get(), expected.get())
    assert counts.launches == 1


def test_a_kernel_is_tried_on_each_device(cupy_devices):
    tried = []

    def trial():
        tried.append(cupy.cuda.Device().id)
        return True

    for device in cupy_devices * 2:
        with cupy.cuda.Device(device):
            assert cupy_kernels.works("test_a_kernel_is_tried_on_each_device", trial)
    assert tried == [*cupy_devices]


# Sums


def sums(ns, x, axis):
    return ns.sum(ns.wrap(x), axis=axis).native


def float32_of_all_sizes(shape):
    rng = np.random.default_rng(3)
    return (rng.normal(size=shape) * 2.0 ** rng.integers(-60, 60, shape)).astype(np.float32)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(
    ("n", "others", "is_one"),
    [
        *((n, 5, True) for n in (2, 3, 31, 100, 128)),
        *((n, 5, False) for n in (129, 512, 700)),
        *((n, 128, True) for n in (129, 500, 512)),
        (512, 127, False),
        (513, 128, False),
    ],
)
def test_a_sum_is_one_launch_where_it_is_short_or_one_of_many(n, others, is_one, axis):
    host = float32_of_all_sizes((n, others) if axis == 0 else (others, n))
    expected = sums(reproducible(NUMPY), host, axis)
    x, ns = get_backend("cupy").asarray(host), reproducible(xp, None)
    assert_same_bits(sums(ns, x, axis).get(), expected)
    with counting() as counts:
        sums(ns, x, axis)
    assert counts["kernel tree_sum"] == is_one
