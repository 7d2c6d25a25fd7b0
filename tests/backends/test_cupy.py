"""What is special of CuPy: why it cannot run, and on which device it computes.

Without a GPU the unavailable path is tested for real.  What needs a GPU runs with one: the
whole suite takes `cupy` from the `backend` fixture then.
"""

import pytest

from pluggable_mlp.backends import BackendUnavailable, available_backends, get_backend

cupy = pytest.importorskip("cupy")

HAS_GPU = cupy.is_available()
without_gpu = pytest.mark.skipif(HAS_GPU, reason="there is a GPU here")
with_gpu = pytest.mark.skipif(not HAS_GPU, reason="there is no GPU here")


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


@without_gpu
def test_no_gpu_is_listed_with_its_reason():
    (status,) = [status for status in available_backends() if status.name == "cupy"]
    assert not status.available
    assert status.version == cupy.__version__
    assert status.devices == ()
    assert "CUDA says cudaError" in status.reason
    assert "NVIDIA GPU" in status.remedy


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


def test_its_device_is_current_wherever_cupy_allocates(monkeypatch):
    """CuPy computes on the thread's current device, not on that of the operands."""
    current = [0]

    class Device:
        def __init__(self, index):
            self.id = index

        def use(self):
            current[0] = self.id

        def __enter__(self):
            self.before, current[0] = current[0], self.id

        def __exit__(self, *_):
            current[0] = self.before

    backends = "pluggable_mlp.backends.cupy"
    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceCount", lambda: 2)
    monkeypatch.setattr("pluggable_mlp.backends.cupy._need_libraries", lambda: None)
    monkeypatch.setattr(cupy.cuda, "Device", Device)
    monkeypatch.setattr(cupy, "asarray", lambda host: (current[0], host.tolist()))
    monkeypatch.setattr(cupy, "asnumpy", lambda array: (current[0], array))
    one = get_backend("cupy:1")
    assert (one.device, current) == ("cuda:1", [1])
    zero = get_backend("cupy:cuda:0")
    assert (zero.device, current) == ("cuda:0", [0])
    assert one.asarray([2.5]) == (1, [2.5])
    assert current == [1], "what is computed next from this array is computed there"
    current[0] = 0
    monkeypatch.setattr(f"{backends}.CupyBackend._require_own", lambda *_: None)
    assert one.to_numpy("x") == (1, "x")
    assert current == [0], "bringing an array to the host changes nothing"


@with_gpu
def test_arrays_are_on_the_device():
    last = cupy.cuda.runtime.getDeviceCount() - 1
    backend = get_backend(f"cupy:{last}")
    assert backend.asarray([1.0]).device == cupy.cuda.Device(last)
    assert (backend.asarray([1.0]) + 1.0).device == cupy.cuda.Device(last)
