"""What is special to a loss of regression: denormal differences, rates without bound."""

import numpy as np
import pytest

from pluggable_mlp.backends import get_backend
from pluggable_mlp.namespaces import reproducible, to_native
from pluggable_mlp.network.losses import AbsoluteError, PoissonLoss
from pluggable_mlp.training.metrics import mean_absolute_error


def test_a_rate_beyond_exp_80_counts_as_exp_80(backend):
    z = np.asarray([[79.0], [80.0], [81.0], [1e4]])
    below, *rates = backend.to_numpy(PoissonLoss().predict(backend.xp, backend.asarray(z)))[:, 0]
    assert below < rates[0] == rates[1] == rates[2]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_absolute_errors_are_not_denormal(dtype):
    """z = (1 + u) s and t = s, the smallest normal number: some libraries see z - t = 0."""
    smallest, unit = np.finfo(dtype).smallest_normal, np.finfo(dtype).eps
    z = np.asarray([[smallest * (1 + unit), 8 * smallest]], dtype=dtype)
    t = np.asarray([[smallest, 0.0]], dtype=dtype)
    seen = []
    xp = Recording(reproducible(get_backend("numpy").xp), seen)
    z, t = xp.asarray(z), xp.asarray(t)
    AbsoluteError()(xp, z, t)
    mean_absolute_error(xp, z, t)
    assert len(seen) == 2
    for values in seen:
        assert ((values == 0.0) | (values >= smallest)).all()


class Recording:
    """A namespace that notes the rows (batch, outputs) whose mean it is asked for."""

    def __init__(self, xp, seen):
        self._xp, self._seen = xp, seen

    def __getattr__(self, name):
        return getattr(self._xp, name)

    def mean(self, x, *, axis=None, keepdims=False):
        if x.ndim == 2:
            self._seen.append(to_native(x))
        return self._xp.mean(x, axis=axis, keepdims=keepdims)
