"""A NumPy backend that catches changes in place: its arrays are not writable."""

from typing import Any

from pluggable_mlp.backends.numpy import NumpyBackend


class ReadonlyNumpyBackend(NumpyBackend):
    """NumPy whose `asarray` returns read-only arrays, so that writing to them is a ValueError."""

    name = "numpy-readonly"

    def asarray(self, data: Any, dtype: str | None = None) -> Any:
        array = super().asarray(data, dtype).view()  # the caller's own array stays writable
        array.flags.writeable = False
        return array
