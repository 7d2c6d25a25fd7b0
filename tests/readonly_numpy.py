"""A NumPy backend that catches changes in place: its arrays are not writable."""

from typing import Any

from pluggable_mlp.backends.numpy import NumpyBackend


class ReadonlyNumpyBackend(NumpyBackend):
    """NumPy, but whoever writes into an array that `asarray` gave gets a ValueError."""

    name = "numpy-readonly"

    def asarray(self, data: Any, dtype: str | None = None) -> Any:
        array = super().asarray(data, dtype).view()  # the caller's own array stays writable
        array.flags.writeable = False
        return array
