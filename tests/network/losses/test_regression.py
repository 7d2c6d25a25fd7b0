"""What is special to a loss of regression: denormal differences, rates without bound."""

import numpy as np
import pytest

from pluggable_mlp.arithmetic import get_arithmetic
from pluggable_mlp.backends import get_backend
from pluggable_mlp.network.losses import Absolute, Poisson
from pluggable_mlp.training.metrics import mean_absolute_error
from tests.network.bounded import native


def test_a_rate_beyond_exp_80_counts_as_exp_80(backend):
    z = np.asarray([[79.0], [80.0], [81.0], [1e4]])
    below, *rates = backend.to_numpy(Poisson().predict(native(backend), backend.asarray(z)))[:, 0]
    assert below < rates[0] == rates[1] == rates[2]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_absolute_errors_are_no_denormal_numbers(dtype):
    """z = (1 + u) s and t = s, the smallest normal number: some libraries see z - t = 0."""
    smallest, unit = np.finfo(dtype).smallest_normal, np.finfo(dtype).eps
    z = np.asarray([[smallest * (1 + unit), 8 * smallest]], dtype=dtype)
    t = np.asarray([[smallest, 0.0]], dtype=dtype)
    arithmetic = get_arithmetic("reproducible", get_backend("numpy").xp)
    seen = []
    arithmetic = Recording(arithmetic, seen)
    Absolute()(arithmetic, z, t)
    mean_absolute_error(arithmetic, z, t)
    assert len(seen) == 2
    for values in seen:
        assert ((values == 0.0) | (values >= smallest)).all()


class Recording:
    """An arithmetic that notes the rows (batch, outputs) whose mean it is asked for."""

    def __init__(self, arithmetic, seen):
        self._arithmetic, self._seen = arithmetic, seen

    def __getattr__(self, name):
        return getattr(self._arithmetic, name)

    def mean(self, x, axis=None, keepdims=False):
        if x.ndim == 2:
            self._seen.append(x)
        return self._arithmetic.mean(x, axis=axis, keepdims=keepdims)
