"""NumPy: the host itself.  Nothing of any other library belongs here."""

from typing import Any

import array_api_compat.numpy
import numpy as np

from .transfer import ArrayLibrary

__all__ = ["NumpyBackend"]


class NumpyBackend(ArrayLibrary):
    """NumPy arrays, which are host data already: `asarray` and `to_numpy` copy nothing."""

    name = "numpy"
    xp = array_api_compat.numpy
    _device = "cpu"

    def __init__(self, device: str | None = None) -> None:
        if device not in (None, "cpu"):
            raise ValueError(f"device is {device!r}: NumPy has one device, 'cpu'")
        self.device = "cpu"

    def _upload(self, host: Any) -> Any:
        return host

    def _download(self, array: Any) -> Any:
        return np.asarray(array)  # a scalar, as NumPy's reductions give it, becomes 0-d

    def synchronize(self) -> None:
        """Return at once: NumPy computes before it returns."""

    def versions(self) -> dict[str, str]:
        """See `Backend.versions`."""
        return {"numpy": np.__version__}

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        """See `Backend.devices`."""
        return ("cpu",)
