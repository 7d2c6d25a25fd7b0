"""What a library raises, for real, where it is asked for more memory than any machine has."""

import pytest

from pluggable_mlp.arrays import device_of
from pluggable_mlp.arrays.shortcuts import backend_context

SIDE = 10**8  # of a square of float64: 80,000,000,000,000,000 bytes


def exhausted(backend) -> Exception:
    """Return what this backend's library raises."""
    xp, device = backend.xp, device_of(backend.asarray(0.0))

    def ask_for_too_much():
        with backend_context(backend):
            xp.zeros((SIDE, SIDE), dtype=xp.float64, device=device)
            backend.synchronize()

    with pytest.raises(Exception) as caught:  # noqa: PT011 (each library has its own)
        ask_for_too_much()
    return caught.value
