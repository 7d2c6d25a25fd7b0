"""Functions over blocks: the same bits, every block once, and small arrays whole."""

import numpy as np
import pytest

from pluggable_mlp.elementary.sigmoid import sigmoid
from pluggable_mlp.namespaces.reproducible.array import to_native
from pluggable_mlp.namespaces.reproducible.namespace import reproducible
from pluggable_mlp.namespaces.reproducible.tiling import BLOCK

pytestmark = pytest.mark.quick_on("jax:cpu")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_bit_depends_on_the_blocks(backend, dtype):
    x = np.linspace(-30, 30, 3 * BLOCK + 7, dtype=dtype).reshape(1, -1)
    ns = reproducible(backend.xp)
    found = ns.sigmoid(ns.asarray(backend.asarray(x)))
    assert backend.to_numpy(to_native(found)).tobytes() == sigmoid(np, x).tobytes()
