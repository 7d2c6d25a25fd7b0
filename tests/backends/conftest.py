"""What NumPy traced, and the devices of CuPy."""

import pytest

from pluggable_mlp.backends.numpy_recording import TracedNumpyFunction
from pluggable_mlp.training.steps import _copies


@pytest.fixture
def programs(monkeypatch):
    """What is traced, in order; not what looks at an epoch's end."""
    results, trace = [], TracedNumpyFunction.trace

    def also(self, arguments):
        found = trace(self, arguments)
        function = getattr(self.function, "func", self.function)
        if function.__module__ != "pluggable_mlp.training.divergence" and function is not _copies:
            results.append(found)
        return found

    monkeypatch.setattr(TracedNumpyFunction, "trace", also)
    return results


@pytest.fixture
def cupy_devices(cupy_backend):
    """The numbers of two devices; the first one is current."""
    if len(cupy_backend.devices()) < 2:
        pytest.skip("there is one device; CUDA_ON_CPU_DEVICES=2 makes two of an emulated card")
    return 0, 1
