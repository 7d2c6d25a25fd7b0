"""What a library has for itself gives what every namespace gives, in one kernel."""

import math
from types import ModuleType

import numpy as np
import pytest

from pluggable_mlp import get_backend
from pluggable_mlp.compiling import compiled
from pluggable_mlp.namespaces import ARITHMETICS, arithmetic_namespace, namespace_at
from pluggable_mlp.shortcuts import (
    add_product,
    backend_at,
    clip,
    largest,
    offer,
    own,
    queued,
    sign,
    take,
    vecdot,
    zero_below,
)
from pluggable_mlp.special import erf, sigmoid, softplus
from tests.emulated_card import counting

POINTS = [-math.inf, -3.0, -0.5, -0.0, 0.0, 0.25, 2.0, math.inf, math.nan]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_they_give_what_numpy_gives(backend, dtype):
    xp, x, host = backend.xp, backend.asarray(POINTS, dtype=dtype), np.asarray(POINTS, dtype=dtype)
    rows, places = np.arange(12.0).reshape(4, 3), np.asarray([3, 0, 3, 1])
    picked = take(xp, backend.asarray(rows), backend.asarray(places))
    signs = np.signbit(backend.to_numpy(zero_below(xp, x, 0.5)))
    assert signs.tolist() == [True, True, True, *[False] * (len(POINTS) - 3)]
    for ours, theirs in (
        (clip(xp, x, -0.5, 1.5), np.clip(host, -0.5, 1.5)),
        (sign(xp, x), np.sign(host)),
        (picked, rows[places]),
        (zero_below(xp, x, 0.5), np.where(np.abs(host) < 0.5, 0.0, host)),
        (vecdot(xp, x[1:4], x[4:7]), np.vecdot(host[1:4], host[4:7])),
        (vecdot(xp, backend.asarray(rows), backend.asarray(rows)), np.vecdot(rows, rows)),
        (add_product(xp, x[1:4] + 1.0, x[4:7], 0.5), host[1:4] + 1.0 + host[4:7] * 0.5),
        (add_product(xp, x[1:4] + 1.0, x[4:7], x[2]), host[1:4] + 1.0 - host[4:7] * 0.5),
    ):
        np.testing.assert_array_equal(backend.to_numpy(ours), theirs, strict=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "function",
    [
        lambda xp, x: clip(xp, x, -1.0, 1.0),
        sign,
        erf,
        lambda xp, x: take(xp, x, xp.asarray([0])),
        lambda xp, x: zero_below(xp, x, 0.5),
        sigmoid,
        softplus,
    ],
)
def test_on_cupy_each_is_one_kernel_and_waits_for_nothing(function, dtype, cupy_backend):
    xp, x = cupy_backend.xp, cupy_backend.asarray(POINTS, dtype)
    function(xp, x)  # a fused kernel is tried at first
    with counting() as counts:
        function(xp, x)
    launches = counts.launches - counts["memcpyAsync HtoD"]
    # log1p of float64 is no line of a kernel: softplus is composed of CuPy's own.
    assert launches == (6 if (function, dtype) == (softplus, "float64") else 1)
    assert not counts.waits


def test_on_cupy_a_scalar_product_is_no_product_of_matrices(cupy_backend):
    x = cupy_backend.asarray(np.ones(100))
    with counting() as counts:
        vecdot(cupy_backend.xp, x, x)
    assert counts["library cub reduce"] == 1
    assert not any("gemm" in name for name in counts)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_largest_is_nan_where_any_is(backend, dtype):
    """In so many elements that a maximum of JAX's own loses it."""
    x = np.arange(90.0 * 70.0, dtype=dtype).reshape(90, 70)
    x[3, 60] = math.nan
    with np.errstate(invalid="ignore"):
        for axis in (-1, 0, (0, 1), None):
            found = backend.to_numpy(largest(backend.xp, backend.asarray(x), axis))
            np.testing.assert_array_equal(found, np.max(x, axis=axis, keepdims=True), strict=True)


def test_cupy_has_them():
    cupy, special = pytest.importorskip("cupy"), pytest.importorskip("cupyx.scipy.special")
    import array_api_compat.cupy as xp

    import pluggable_mlp.backends.cupy  # noqa: F401 (it offers them)

    functions = {
        "clip": cupy.clip,
        "erf": special.erf,
        "sign": cupy.sign,
    }
    for name, function in functions.items():
        assert own(xp, name) is function


def test_inner_products_of_pytorch_are_one_operation():
    torch = pytest.importorskip("torch")
    assert own(get_backend("torch").xp, "vecdot") is torch.linalg.vecdot


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_a_process_is_checked_whenever_an_arithmetic_is_asked_for(arithmetic):
    answers = []
    xp = ModuleType("watched")
    vars(xp).update(vars(get_backend("numpy").xp))
    offer(xp, check_process=lambda: answers.append("checked"))
    for count in (1, 2):
        arithmetic_namespace(arithmetic, xp)
        namespace_at(arithmetic, xp, np.zeros(1))
        assert len(answers) == 2 * count


def test_the_backend_of_an_array_is_found_by_its_device(backend):
    x = backend.asarray([1.0])
    found = backend_at(backend.xp, x.device)
    if found is None:
        assert backend.compile(abs) is None
        assert not backend.queued
        return
    assert found.device == backend.device
    assert queued(backend.xp, x) is backend.queued


def test_a_backend_that_is_found_compiles_and_tells_of_its_queue():
    class Backend:
        queued = True

        def __init__(self, device):
            self.device = device

        def compile(self, function, used_up=(), *, exact=False, most=1):
            return lambda: (self.device, function(), exact)

    xp, without = ModuleType("found"), ModuleType("without")
    offer(xp, backend_at=Backend)
    assert queued(xp, np.ones(1))
    assert compiled(backend_at(xp, "second"), int, exact=True)() == ("second", 0, True)
    assert not queued(without, np.ones(1))
    assert compiled(backend_at(without), int) is None


def test_jax_has_an_error_function_of_its_own():
    special = pytest.importorskip("jax.scipy.special")
    assert own(get_backend("jax:cpu").xp, "erf") is special.erf


@pytest.mark.parametrize("name", ["erf", "rsqrt", "sigmoid"])
def test_pytorch_has_functions_of_its_own(name):
    torch = pytest.importorskip("torch")
    assert own(get_backend("torch").xp, name) is getattr(torch, name)


def test_functions_are_one_operation_of_pytorch():
    torch = pytest.importorskip("torch")
    from torch.utils._python_dispatch import TorchDispatchMode

    class Noting(TorchDispatchMode):
        def __init__(self):
            super().__init__()
            self.called = []

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            self.called.append(str(function))
            return function(*args, **(kwargs or {}))

    backend = get_backend("torch")
    x, places = backend.asarray([[1.0], [2.0]]), backend.asarray([1, 0])
    with Noting() as noting:
        take(backend.xp, x, places)
        add_product(backend.xp, x * 1.0, x, x[0])
    assert noting.called[0] == "aten.index_select.default"
    assert noting.called[-1] == "aten.addcmul_.default"
    assert len(noting.called) == 4  # with what makes the operands
    assert torch.equal(take(backend.xp, x, places), x[[1, 0]])
