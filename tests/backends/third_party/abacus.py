"""A backend as a third party would write it: one class, nothing inherited, its own arrays.

Its array library is array-api-strict on "device2", which nothing else uses.
"""

import array_api_strict
import numpy as np

from pluggable_mlp.backends.transfer import host_array

DEVICE = array_api_strict.Device("device2")
HOST = array_api_strict.Device("CPU_DEVICE")


class AbacusBackend:
    name = "abacus"
    xp = array_api_strict

    def __init__(self, device=None):
        if device not in (None, "beads"):
            raise ValueError(f"device is {device!r}: an abacus has 'beads'")
        self.device = "beads"

    def asarray(self, data, dtype=None):
        if hasattr(data, "__array_namespace__") and not isinstance(data, np.ndarray | np.generic):
            array = self._own(data)
            wanted = array.dtype if dtype is None else getattr(self.xp, dtype)
            return self.xp.astype(array, wanted, copy=False)
        return self.xp.asarray(host_array(data, dtype), device=DEVICE)

    def to_numpy(self, array):
        return np.asarray(self._own(array).to_device(HOST))

    def synchronize(self):
        pass

    def versions(self):
        return {"abacus": "1.2"}

    @classmethod
    def devices(cls):
        return ("beads",)

    def _own(self, array):
        if not isinstance(array, type(self.xp.asarray(0))):
            raise TypeError(f"expected an array of {self.name}, not a {type(array).__name__}")
        if array.device != DEVICE:
            raise ValueError(f"the array is on {array.device}, not on {self.device}")
        return array
