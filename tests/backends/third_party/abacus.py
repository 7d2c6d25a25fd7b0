"""A backend as a third party would write it: one class, nothing inherited, its own arrays.

Its array library is array-api-strict on "device2", which nothing else uses.
"""

import array_api_strict
import numpy as np

DEVICE = array_api_strict.Device("device2")


class AbacusBackend:
    name = "abacus"
    xp = array_api_strict

    def __init__(self, device=None):
        if device not in (None, "beads"):
            raise ValueError(f"device is {device!r}: an abacus has 'beads'")
        self.device = "beads"

    def asarray(self, data, dtype=None):
        if isinstance(data, array_api_strict.asarray(0).__class__):
            return data if dtype is None else self.xp.astype(data, getattr(self.xp, dtype))
        return self.xp.asarray(np.asarray(data, dtype=dtype), device=DEVICE)

    def to_numpy(self, array):
        return np.asarray(array.to_device(array_api_strict.Device("CPU_DEVICE")))

    def synchronize(self):
        pass

    def versions(self):
        return {"abacus": "1.2"}

    @classmethod
    def devices(cls):
        return ("beads",)
