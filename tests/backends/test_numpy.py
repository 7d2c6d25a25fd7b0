"""What is special of NumPy: it is the host."""

import numpy as np
import pytest

from pluggable_mlp.backends import get_backend
from pluggable_mlp.backends import numpy as numpy_backend
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


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ({"expm1": {"ff": {"current": "X86_V4"}, "dd": {"current": "baseline(X86_V2)"}}}, True),
        ({"expm1": {"ff": {"current": "baseline(X86_V2)"}, "dd": {"current": "X86_V4"}}}, False),
        ({}, False),
    ],
)
def test_vector_code_is_that_of_float32(monkeypatch, code, expected):
    """As `numpy.lib.introspect` describes it; expm1 is NumPy's own only with such code."""
    monkeypatch.setattr(numpy_backend, "opt_func_info", lambda *, func_name: code)
    assert numpy_backend._has_vector_code("expm1") is expected
