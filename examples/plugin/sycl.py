"""dpnp, Intel's array library for SYCL devices, as a plug-in.

`pluggable_mlp/backends/dpnp.py` adds names of devices, refusals, memory, and functions that the
library finds by the namespace, for this plug-in, too.
"""

import dpctl
import dpnp

from pluggable_mlp.backends import BackendUnavailable
from pluggable_mlp.backends.transfer import ArrayLibrary


class SyclBackend(ArrayLibrary):
    """Arrays of dpnp on a SYCL device."""

    name = "sycl"
    xp = dpnp
    queued = True

    def __init__(self, device=None):
        devices = self.devices()
        if device not in (None, *devices):
            raise ValueError(f"device is {device!r}: dpnp has {', '.join(devices)}")
        self._device = dpnp.empty(0, device=device).device

    @property
    def device(self):
        """Return the name that SYCL gives it."""
        return self._device.sycl_device.filter_string

    def _upload(self, host):
        return dpnp.asarray(host, device=self._device)

    def _download(self, array):
        return dpnp.asnumpy(array)

    def synchronize(self):
        """Wait for the device's queue."""
        self._device.wait()

    def versions(self):
        """Return the versions of the software that determines the results."""
        return {"dpnp": dpnp.__version__, "driver": self._device.sycl_device.driver_version}

    @classmethod
    def devices(cls):
        """Return the devices that it can use."""
        found = tuple(device.filter_string for device in dpctl.get_devices())
        if not found:
            raise BackendUnavailable(cls.name, "there is no SYCL device", "install its driver")
        return found
