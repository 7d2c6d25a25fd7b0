"""What a library has for itself gives what every namespace gives, in one kernel."""

import math
from types import ModuleType

import numpy as np
import pytest

from pluggable_mlp import SigmoidCrossEntropy, get_backend
from pluggable_mlp.arrays import shortcuts
from pluggable_mlp.namespaces import ARITHMETICS, arithmetic_namespace, namespace_at
from pluggable_mlp.special import erf, sigmoid, softplus
from tests.emulated_card import counting

pytestmark = pytest.mark.quick_on("jax:cpu")

POINTS = [-math.inf, -3.0, -0.5, -0.0, 0.0, 0.25, 2.0, math.inf, math.nan]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_they_give_what_numpy_gives(backend, dtype):
    with backend.context():
        xp, x = backend.xp, backend.asarray(POINTS, dtype=dtype)
        host = np.asarray(POINTS, dtype=dtype)
        rows, places = np.arange(12.0).reshape(4, 3), np.asarray([3, 0, 3, 1])
        table = backend.asarray(rows)
        signs = np.signbit(backend.to_numpy(shortcuts.zero_below(xp, x, 0.5)))
        assert signs.tolist() == [True, True, True, *[False] * (len(POINTS) - 3)]
        for ours, theirs in (
            (shortcuts.clip(xp, x, -0.5, 1.5), np.clip(host, -0.5, 1.5)),
            (shortcuts.sign(xp, x), np.sign(host)),
            (shortcuts.take_rows(xp, table, backend.asarray(places)), rows[places]),
            (shortcuts.zero_below(xp, x, 0.5), np.where(np.abs(host) < 0.5, 0.0, host)),
            (shortcuts.vecdot(xp, x[1:4], x[4:7]), np.vecdot(host[1:4], host[4:7])),
            (shortcuts.vecdot(xp, table, table), np.vecdot(rows, rows)),
        ):
            np.testing.assert_array_equal(backend.to_numpy(ours), theirs, strict=True)


def cross_entropy_of_labels(xp, z):
    return SigmoidCrossEntropy().elements(xp, z, z)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "function",
    [
        lambda xp, x: shortcuts.clip(xp, x, -1.0, 1.0),
        shortcuts.sign,
        erf,
        lambda xp, x: shortcuts.take_rows(xp, x, xp.asarray([0])),
        lambda xp, x: shortcuts.zero_below(xp, x, 0.5),
        sigmoid,
        softplus,
        cross_entropy_of_labels,
    ],
)
def test_on_cupy_each_is_one_kernel_and_waits_for_nothing(function, dtype, cupy_backend):
    xp, x = cupy_backend.xp, cupy_backend.asarray(POINTS, dtype)
    function(xp, x)  # a fused kernel is tried at first
    with counting() as counts:
        function(xp, x)
    launches = counts.launches - counts["memcpyAsync HtoD"]
    # log1p of float64 is no line of a kernel: what has it is composed of CuPy's own.
    composed = {softplus: 6, cross_entropy_of_labels: 15} if dtype == "float64" else {}
    assert launches == composed.get(function, 1)
    assert not counts.waits


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_a_process_is_checked_whenever_an_arithmetic_is_asked_for(arithmetic):
    answers = []
    xp = ModuleType("watched")
    vars(xp).update(vars(get_backend("numpy").xp))
    shortcuts.offer(xp, check_process=lambda: answers.append("checked"))
    for count in (1, 2):
        arithmetic_namespace(arithmetic, xp)
        namespace_at(arithmetic, xp, np.zeros(1))
        assert len(answers) == 2 * count


def test_the_backend_of_an_array_is_found_by_its_device(backend):
    x = backend.asarray([1.0])
    found = shortcuts.backend_at(backend.xp, x.device)
    if found is None:
        assert backend.compile(abs) is None
        assert not backend.queued
        return
    assert found.device == backend.device
    assert found.queued is backend.queued


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_magnitudes_below_a_threshold_and_negative_zero_become_zero(backend, dtype):
    with backend.context():
        for threshold in (float(np.finfo(dtype).smallest_normal), 2.0**-102, 0.5):
            at = np.asarray(threshold, dtype)
            below, above = (np.nextafter(at, np.asarray(side, dtype)) for side in (0.0, 1.0))
            x = np.asarray([at, below, -at, -below, above, -0.0, np.inf, np.nan], dtype)
            found = shortcuts.zero_below(backend.xp, backend.asarray(x), threshold)
            expected = np.asarray([at, 0.0, -at, 0.0, above, 0.0, np.inf, np.nan], dtype)
            assert backend.to_numpy(found)[:-1].tobytes() == expected[:-1].tobytes()
            assert np.isnan(backend.to_numpy(found)[-1])
