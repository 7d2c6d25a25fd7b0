"""What the backend for CuPy asks of CuPy."""

import numpy as np
import pytest

from pluggable_mlp import BackendUnavailable, get_backend
from pluggable_mlp.backends import available_backends
from pluggable_mlp.files.hashing import parameters_sha256
from tests.emulated_card import counting

cupy = pytest.importorskip("cupy")

pytestmark = pytest.mark.usefixtures("cupy_backend")


def test_versions_are_those_of_what_computes():
    """The runtime is linked into CuPy's wheel; NVRTC and cuBLAS are what is installed."""
    versions = get_backend("cupy").versions()
    assert [*versions] == ["cupy", "cuda", "cuda driver", "nvrtc", "cublas"]
    assert versions["cupy"] == cupy.__version__
    assert versions["nvrtc"] == ".".join(map(str, cupy.cuda.nvrtc.getVersion()))


@pytest.mark.parametrize("value", ["1", "2"])
def test_memory_that_the_host_shares_is_refused(monkeypatch, value):
    monkeypatch.setenv("CUPY_ENABLE_UMP", value)
    with pytest.raises(BackendUnavailable, match=f"CUPY_ENABLE_UMP={value}") as caught:
        get_backend("cupy")
    assert "unset" in caught.value.remedy
    (status,) = [status for status in available_backends() if status.name == "cupy"]
    assert not status.available


def test_a_device_that_others_have_is_not_available(monkeypatch):
    class Busy(cupy.cuda.Device):
        def __enter__(self):
            raise cupy.cuda.runtime.CUDARuntimeError(46)

    monkeypatch.setattr(cupy.cuda, "Device", Busy)
    with pytest.raises(BackendUnavailable, match="cuda:0 cannot be used: CUDA says") as caught:
        get_backend("cupy:0")
    assert "nvidia-smi" in caught.value.remedy


def test_parameters_are_hashed_by_one_wait():
    backend = get_backend("cupy")
    host = [{"W": np.ones((3, 2), "float32"), "b": np.arange(2, dtype="float32")}] * 2
    there = [{name: backend.asarray(x) for name, x in layer.items()} for layer in host]
    with counting() as counts:
        found = parameters_sha256(there, backend)
    assert found == parameters_sha256(host)
    assert counts.waits == 1


def test_large_arrays_take_no_pinned_memory():
    """Which is never given back: 2^26 bytes are copied by way of it, and more are not."""
    backend, pool = get_backend("cupy"), cupy.get_default_pinned_memory_pool()
    for count, is_staged in ((2**23 + 1, False), (2**23, True)):
        host = np.zeros(count)
        host[[0, -1]] = 1.0, 2.0
        pool.free_all_blocks()
        with counting() as counts:
            there = backend.asarray(host)
        assert np.array_equal(backend.to_numpy(there), host)
        assert counts["memory cudaHostAlloc"] == is_staged


def test_synchronize_waits_for_the_device():
    with counting() as counts:
        get_backend("cupy").synchronize()
    assert [name for name in counts if "waits" in name] == ["waits cudaDeviceSynchronize"]
