"""Every loss where numbers are extreme: nothing but finite ones."""

import numpy as np
import pytest

from pluggable_mlp.namespaces import ARITHMETICS
from tests.network.bounded import InArithmetic
from tests.network.losses.cases import CASES, compute, link


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("size", [1e4, 1e30])
@pytest.mark.parametrize("name", CASES)
def test_any_finite_logits_are_stable(backend, name, size, arithmetic):
    """Finite loss and gradient, no warning (all are errors); 0 at a perfect prediction."""
    # A loss of 1e60 exceeds float32.
    dtype = "float64" if name == "squared_error" else "float32"
    z = np.asarray([[size, -size], [-size, size], [size, size]]).astype(dtype)
    kind = CASES[name].targets
    rows = np.asarray([[1, 0], [1, 0], [0, 1]])
    targets = rows[:, 1] if kind == "classes" else rows.astype(dtype)
    place = InArithmetic(arithmetic, backend)
    found = compute(CASES[name], z, targets)(place)
    predictions = link(CASES[name])(place.xp, place.asarray(z))
    for array in (*found.values(), predictions):
        assert np.isfinite(place.to_numpy(array)).all()
    if name in ("softmax_cross_entropy", "sigmoid_cross_entropy"):
        right, wrong = (
            compute(CASES[name], z[k : k + 1], targets[k : k + 1])(place) for k in (0, 1)
        )
        assert float(right["loss"]) == 0.0
        most = 1e-26 if arithmetic == "native" else 0.0  # native exponents end at -60
        assert abs(place.to_numpy(right["dz"])).max() <= most
        # 2 size nats for the softmax; for the sigmoid the mean of size and size.
        expected = float(z[0, 0]) * (2 if kind == "classes" else 1)
        assert float(wrong["loss"]) == expected


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["softmax_cross_entropy", "sigmoid_cross_entropy"])
@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_no_derivative_is_denormal(backend, name, dtype, arithmetic):
    """Denormal numbers make products of matrices several times slower: those of a good network."""
    z = np.arange(-1, -760, -1, dtype=dtype)[:, np.newaxis]  # exp(-760) is 0 in float64
    targets = np.zeros_like(z)
    if name == "softmax_cross_entropy":
        z, targets = np.concatenate([z, np.zeros_like(z)], axis=1), np.ones(z.shape[0], int)
    place = InArithmetic(arithmetic, backend)
    dz = place.to_numpy(compute(CASES[name], z, targets)(place)["dz"])[:, 0]
    assert ((dz == 0) | (dz >= np.finfo(dtype).smallest_normal)).all()
    exponentials = np.exp(z[:, 0].astype(np.float64))
    exact = exponentials / (1.0 + exponentials) / z.shape[0]
    least = {"float32": 1e-26, "float64": 1e-260}[dtype]
    np.testing.assert_allclose(dz, exact, rtol=1e-5, atol=least / z.shape[0])
