"""What is special of CuPy: why it cannot run, and on which device it computes.

Without a GPU the unavailable path is tested for real.  What needs a GPU runs with one: the
whole suite takes `cupy` from the `backend` fixture then.
"""

import pytest

from pluggable_mlp.backends import BackendUnavailable, available_backends, get_backend

cupy = pytest.importorskip("cupy")

HAS_GPU = cupy.is_available()
without_gpu = pytest.mark.skipif(HAS_GPU, reason="there is a GPU here")


@without_gpu
@pytest.mark.parametrize("spec", ["cupy", "cupy:0", "cupy:1", "cupy:cuda:0"])
def test_no_gpu_says_what_cuda_said(spec):
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError) as said:
        cupy.cuda.runtime.getDeviceCount()
    with pytest.raises(BackendUnavailable) as caught:
        get_backend(spec)
    assert caught.value.backend == "cupy"
    assert "cudaError" in str(said.value)
    assert f"finds no GPU that it can use: CUDA says {said.value}" in caught.value.reason
    assert "NVIDIA GPU and a driver" in caught.value.remedy


def test_a_driver_without_a_gpu_raises(monkeypatch):
    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceCount", lambda: 0)
    with pytest.raises(BackendUnavailable, match="CUDA finds no GPU"):
        get_backend("cupy")


def test_a_gpu_without_the_libraries_of_cuda_is_listed_with_the_remedy(monkeypatch):
    def absent():
        raise RuntimeError("Failure finding libnvrtc.so.13")

    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceCount", lambda: 1)
    monkeypatch.setattr(cupy.cuda.nvrtc, "getVersion", absent)
    (status,) = [status for status in available_backends() if status.name == "cupy"]
    assert not status.available
    assert "does not find CUDA's libraries: Failure finding " in status.reason
    assert "cupy-cuda13x[ctk]" in status.remedy


@pytest.mark.parametrize("spec", ["cupy:2", "cupy:cuda:2"])
def test_a_device_out_of_range_says_how_many_there_are(monkeypatch, spec):
    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceCount", lambda: 2)
    monkeypatch.setattr("pluggable_mlp.backends.cupy._need_libraries", lambda: None)
    with pytest.raises(BackendUnavailable, match="no CUDA device 2: this machine has 2") as caught:
        get_backend(spec)
    assert caught.value.remedy == "choose one of cuda:0, cuda:1"


@pytest.mark.parametrize("device", ["one", "-1", "cuda", "cuda:", "1:0", "gpu:0"])
def test_a_device_that_is_not_a_number_raises(device):
    with pytest.raises(ValueError, match=f"device is '{device}': expected the number of a GPU"):
        get_backend(f"cupy:{device}")
