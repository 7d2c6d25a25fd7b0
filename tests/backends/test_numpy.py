"""What is special of NumPy: it is the host."""

import numpy as np
import pytest
from numpy.lib.introspect import opt_func_info

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
def test_vector_code_for_expm1_is_that_of_float32_on_linux(monkeypatch, code, expected):
    """As `numpy.lib.introspect` describes it, whose keys are those above."""
    if described := opt_func_info(func_name="^expm1$"):
        assert isinstance(described["expm1"]["ff"]["current"], str)
    monkeypatch.setattr(numpy_backend, "opt_func_info", lambda *, func_name: code)
    monkeypatch.setattr("sys.platform", "linux")
    assert numpy_backend._has_vector_expm1() is expected
    monkeypatch.setattr("sys.platform", "win32")  # NumPy's vector code is for Linux alone
    assert not numpy_backend._has_vector_expm1()
