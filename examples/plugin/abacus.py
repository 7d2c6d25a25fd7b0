"""A backend as a third party would write it: one class, nothing inherited, its own arrays.

Its array library is array-api-strict on "device2", which no other backend uses by default.  The
docstrings of `pluggable_mlp.backends.Backend` say what each member must do.
"""

from typing import Any

import array_api_strict
import numpy as np

from pluggable_mlp.backends.transfer import host_array

DEVICE = array_api_strict.Device("device2")
HOST = array_api_strict.Device("CPU_DEVICE")


class AbacusBackend:
    """Arrays of array-api-strict on beads."""

    name = "abacus"
    xp = array_api_strict

    def __init__(self, device: str | None = None) -> None:
        if device not in (None, "beads"):
            raise ValueError(f"device is {device!r}: an abacus has 'beads'")
        self.device = "beads"

    def asarray(self, data: Any, dtype: str | None = None) -> Any:
        """Return host data as an array; arrays of its own as they are."""
        if hasattr(data, "__array_namespace__") and not isinstance(data, np.ndarray | np.generic):
            array = self._own(data)
            wanted = array.dtype if dtype is None else getattr(self.xp, dtype)
            return self.xp.astype(array, wanted, copy=False)
        return self.xp.asarray(host_array(data, dtype), device=DEVICE)

    def to_numpy(self, array: Any) -> Any:
        """Copy an array to the host."""
        return np.asarray(self._own(array).to_device(HOST))

    def synchronize(self) -> None:
        """Return at once: it computes before it returns."""

    def versions(self) -> dict[str, str]:
        """Return the versions of the software that determines the results."""
        return {"abacus": "1.2"}

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        """Return the devices that it can use."""
        return ("beads",)

    def _own(self, array: Any) -> Any:
        if not isinstance(array, type(self.xp.asarray(0))):
            raise TypeError(f"expected an array of {self.name}, not a {type(array).__name__}")
        if array.device != DEVICE:
            raise ValueError(f"the array is on {array.device}, not on {self.device}")
        return array
