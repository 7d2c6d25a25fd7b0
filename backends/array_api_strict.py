"""The array-api-strict backend: the standard and nothing else.

It is based on NumPy, slow, and refuses everything that the standard does not specify.  Arrays on
its "device1" and "device2" cannot be used by NumPy, like those on a GPU, which makes them useful
in tests.
"""

import array_api_strict
import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.arrays.shortcuts import offer

from .transfer import ArrayLibrary

_CPU = array_api_strict.Device("CPU_DEVICE")


class ArrayApiStrictBackend(ArrayLibrary):
    """Arrays of array-api-strict on "cpu" (its CPU_DEVICE), "device1", "device2" or the like."""

    name = "array_api_strict"
    xp = array_api_strict

    def __init__(self, device: str | None = None) -> None:
        if device not in (None, *self.devices()):
            reason = " has no int64, which labels are, and" if device == "no_x64" else ""
            raise ValueError(
                f"device is {device!r}:{reason} array-api-strict has {', '.join(self.devices())}"
            )
        self._device = _CPU if device in (None, "cpu") else array_api_strict.Device(device)

    @property
    def device(self) -> str:
        """See `Backend.device`."""
        return _text(self._device)

    @property
    def missing_dtypes(self) -> tuple[str, ...]:
        """See `Abilities.missing_dtypes`."""
        return ("float64", "complex128") if self.device == "no_float64" else ()

    def _upload(self, host: Array) -> Array:
        return array_api_strict.asarray(host, device=self._device)

    def _download(self, array: Array) -> Array:
        return np.asarray(array.to_device(_CPU))

    def synchronize(self) -> None:
        """Return at once: operations are complete when they return, on every device."""

    def versions(self) -> dict[str, str]:
        """See `Backend.versions`."""
        return {"array-api-strict": array_api_strict.__version__, "numpy": np.__version__}

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        """See `Backend.devices`; those without int64 are left out."""
        every = array_api_strict.__array_namespace_info__().devices()
        return tuple(text for text in map(_text, every) if text != "no_x64")


def _text(device: object) -> str:
    """Return the name of a device, found only in its repr: Device('device1')."""
    return "cpu" if device == _CPU else repr(device).split("'")[1]


offer(array_api_strict, backend_at=ArrayApiStrictBackend._at)
