"""Programs of CuPy, on the simulated one: their bits, and why there is none."""

from functools import partial

import numpy as np
import pytest

from pluggable_mlp import get_backend
from pluggable_mlp.shortcuts import in_one_kernel
from tests.backends.fused import assert_same_bits, fused, of_cupy
from tests.simulated_cupy import cupy, xp

pytestmark = pytest.mark.simulated_cupy


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
