"""Every loss where numbers are extreme: nothing but finite ones."""

import numpy as np

from pluggable_mlp.namespaces import ARITHMETICS
from tests.network.bounded import InArithmetic
from tests.network.losses.cases import CASES, compute, link
from tests.together import together


@together("arithmetic", ARITHMETICS)
@together("size", [1e4, 1e30])
@together("name", CASES)
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
        assert abs(place.to_numpy(right["dz"])).max() <= 1e-37  # native's sigmoid ends at exp(-87)
        # 2 size nats for the softmax; for the sigmoid the mean of size and size.
        expected = float(z[0, 0]) * (2 if kind == "classes" else 1)
        assert float(wrong["loss"]) == expected
