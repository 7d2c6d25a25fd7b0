"""What is special of NumPy: it is the host."""

import numpy as np
import pytest

from pluggable_mlp.backends import get_backend
from tests.readonly_numpy import ReadonlyNumpyBackend


def test_host_arrays_are_not_copied():
    backend, host = get_backend("numpy"), np.ones(3)
    assert backend.asarray(host) is host
    assert backend.to_numpy(host) is host


def test_the_readonly_variant_catches_changes_in_place():
    host = np.ones(3)
    array = ReadonlyNumpyBackend().asarray(host)
    with pytest.raises(ValueError, match="read-only"):
        array += 1.0
    host += 1.0  # the caller's own array stays writable
