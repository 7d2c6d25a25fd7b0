"""What is special of array-api-strict: devices that refuse NumPy as a GPU does."""

import numpy as np
import pytest

from pluggable_mlp.backends import get_backend

array_api_strict = pytest.importorskip("array_api_strict")


@pytest.mark.parametrize(
    ("spec", "device"),
    [
        ("array_api_strict", "CPU_DEVICE"),
        ("array_api_strict:cpu", "CPU_DEVICE"),
        ("array_api_strict:device1", "device1"),
        ("array_api_strict:device2", "device2"),
    ],
)
def test_arrays_are_on_the_device(spec, device):
    assert get_backend(spec).asarray([1.0]).device == array_api_strict.Device(device)


def test_a_foreign_device_refuses_numpy():
    array = get_backend("array_api_strict:device1").asarray([1.0])
    with pytest.raises(RuntimeError, match=r"convert array on the .*device1"):
        np.asarray(array)


def test_unknown_device():
    with pytest.raises(ValueError, match="'device9': array-api-strict has cpu, device1, device2"):
        get_backend("array_api_strict:device9")
