"""The dtypes that have rules: their kinds, limits and defaults, the same on every library."""

from collections.abc import Callable
from typing import Any

from pluggable_mlp.arrays import Device, DType, Namespace, dtype_name

# fmt: off
DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float32", "float64",
)
# fmt: on


def limits(xp: Namespace, dtype: DType) -> tuple[int, int]:
    """Return the least and the greatest integer of a dtype of the library."""
    info = xp.iinfo(dtype)
    return int(info.min), int(info.max)


class Kinds(dict[DType, str]):
    """ "float32", "float64" or "" by the dtype: asked at every operation, so looked up."""

    def __init__(self, xp: Namespace) -> None:
        self._xp = xp

    def __missing__(self, dtype: DType) -> str:
        xp = self._xp
        if isinstance(dtype, str) or any(dtype is kind for kind in (bool, int, float)):
            raise TypeError(f"dtype is {dtype!r}, expected one of xp's, such as xp.float64")
        floating = {"float32": xp.float32, "float64": xp.float64}
        kind = next((name for name, candidate in floating.items() if candidate == dtype), "")
        if not kind and not xp.isdtype(dtype, ("bool", "integral")):
            raise TypeError(
                f"dtype is {dtype_name(dtype)}, expected float32, float64, an integer type or "
                "bool: the reproducible namespace has no rules for others"
            )
        self[dtype] = kind
        return kind


class Inspection:
    """Capabilities, devices and dtypes: the inspection chapter of the standard."""

    def __init__(self, xp: Namespace) -> None:
        self._xp = xp
        self._info = xp.__array_namespace_info__()
        self.capabilities: Callable[[], dict[str, Any]] = self._info.capabilities
        self.default_device: Callable[[], Device] = self._info.default_device
        self.devices: Callable[[], list[Device]] = self._info.devices

    def default_dtypes(self, *, device: Device = None) -> dict[str, DType]:
        """Return the default dtype of each kind, the same on every library and device."""
        xp = self._xp
        return {"real floating": xp.float64, "integral": xp.int64, "indexing": xp.int64}

    def dtypes(
        self, *, device: Device = None, kind: str | tuple[str, ...] | None = None
    ) -> dict[str, DType]:
        """Return the dtypes of a kind."""
        dtypes = self._info.dtypes(device=device, kind=kind)
        return {name: dtype for name, dtype in dtypes.items() if name in DTYPES}
