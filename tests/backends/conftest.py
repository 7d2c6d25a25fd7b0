"""What NumPy traced, the devices of CuPy, and devices without float64."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from pluggable_mlp.backends.numpy_recording import TracedNumpyFunction
from pluggable_mlp.training.steps import _copies
from tests.conftest import to_collect


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


@pytest.fixture(
    params=[
        "array_api_strict:no_float64",
        *{"dpnp"}.intersection(to_collect()),
        *(f"{name}:mps" for name in {"torch"}.intersection(to_collect())),
    ]
)
def without_float64(request, monkeypatch):
    """The name of a device that refuses every array of float64; dpnp does so on an Arc GPU."""
    mode = nullcontext()
    if request.param == "dpnp":
        _refuse_float64_on_dpnp(monkeypatch)
    elif request.param == "torch:mps":
        pytest.importorskip("torch")
        from tests.backends.torch_devices import stand_in

        mode = stand_in(monkeypatch, "mps")
    with mode:
        yield request.param


def _refuse_float64_on_dpnp(monkeypatch):
    dpnp = pytest.importorskip("dpnp")
    from pluggable_mlp.backends.dpnp import DpnpBackend

    device = SimpleNamespace(sycl_device=SimpleNamespace(has_aspect_fp64=False))
    missing = DpnpBackend.missing_dtypes.fget(SimpleNamespace(_device=device))
    monkeypatch.setattr(DpnpBackend, "missing_dtypes", missing)
    dpnp_array = dpnp.dpnp_array.dpnp_array
    make = dpnp_array._create_from_usm_ndarray

    def refuse(array):
        if array.size and array.dtype.name in missing:  # an empty one makes the backend's queue
            raise RuntimeError(f"the device has no {array.dtype}")
        return make(array)

    monkeypatch.setattr(dpnp_array, "_create_from_usm_ndarray", staticmethod(refuse))
    monkeypatch.setattr(dpnp.tensor._data_types, "ti_default_device_fp_type", lambda _: "f4")
    with pytest.raises(RuntimeError, match="no float64"):
        dpnp.ones(2, dtype="float64") * 2.0
