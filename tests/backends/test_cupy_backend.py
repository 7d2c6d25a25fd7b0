"""What the backend for CuPy asks of CuPy, on the simulated one."""

import numpy as np
import pytest

from pluggable_mlp import BackendUnavailable, get_backend
from pluggable_mlp.backends import available_backends
from tests.simulated_cupy import counting, cupy

pytestmark = pytest.mark.simulated_cupy


def test_versions_are_those_of_what_computes():
    """The runtime is linked into CuPy's wheel; NVRTC and cuBLAS are what is installed."""
    assert get_backend("cupy").versions() == {
        "cupy": "14.2.0",
        "cuda": "13.2",
        "cuda driver": "13.0",
        "nvrtc": "13.0",
        "cublas": "13.1.0",
    }


@pytest.mark.parametrize("value", ["1", "2"])
def test_memory_that_the_host_shares_is_refused(monkeypatch, value):
    monkeypatch.setenv("CUPY_ENABLE_UMP", value)
    with pytest.raises(BackendUnavailable, match=f"CUPY_ENABLE_UMP={value}") as caught:
        get_backend("cupy")
    assert "unset" in caught.value.remedy
    (status,) = [status for status in available_backends() if status.name == "cupy"]
    assert not status.available


def test_memory_of_its_own_is_not_refused(monkeypatch):
    monkeypatch.setenv("CUPY_ENABLE_UMP", "0")
    get_backend("cupy")


def test_a_device_that_others_have_is_not_available(monkeypatch):
    def busy(self):
        raise cupy.cuda.runtime.CUDARuntimeError("cudaErrorDevicesUnavailable: busy")

    monkeypatch.setattr(cupy.cuda.Device, "use", busy)
    with pytest.raises(BackendUnavailable, match="cuda:1 cannot be used: .*busy") as caught:
        get_backend("cupy:1")
    assert "nvidia-smi" in caught.value.remedy


@pytest.mark.parametrize("order", ["C", "F"])
def test_large_data_do_not_go_through_pinned_memory(order):
    """Which is not given back, and of up to twice their size."""
    backend = get_backend("cupy")
    large = np.zeros((2, 2**25 + 1), "uint8", order=order)
    large[1, -1] = 7
    with counting() as counts:
        there = backend.asarray(large)
    assert counts.pinned == 0
    assert there.strides == large.strides
    assert int(there[1, -1]) == 7
    with counting() as counts:
        backend.asarray(large[:, :1000])
    assert counts.pinned > 0  # small ones are staged: their copies do not wait
