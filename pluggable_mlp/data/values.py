"""From numbers of any dtype to the features of a network: uint8 pixels, or floats.

Shapes: n examples, inputs (n, ...) before and (n, features) after.
"""

from functools import partial
from operator import mul
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.dataset import as_floats, check_finite
from pluggable_mlp.data.errors import DataError
from pluggable_mlp.lazy import StoredArray, blocks, lazy_map

LARGEST_VALUE = 8.0
"""Where training saw pixels, whose values are below 1, floats beyond this one were not scaled."""

BLOCK = 4096
"""So many rows are looked at together, which keeps temporary arrays small."""

_SAW_PIXELS = "where training saw 8-bit pixels"
_PIXELS = "give pixels, from 0 to 255, or save floats that are scaled as .npy"


def as_pixels(name: str, inputs: Array, scale: float) -> Array:
    """Return pixels as uint8; as values (n, features), if there are fractions among them."""
    pixels = as_bytes(inputs)
    if pixels is not None:
        return pixels
    low, high = float(inputs.min()), float(inputs.max())
    if low < 0 or high > 255 or high <= 1:
        raise DataError(name, f"holds numbers from {low:g} to {high:g}, {_SAW_PIXELS}", _PIXELS)
    return lazy_map(inputs, partial(mul, scale))  # some between two pixels


def as_scaled(name: str, inputs: Array, scale: float) -> Array:
    """Return values (n, features); refuse pixels that were not scaled."""
    low, high = float(inputs.min()), float(inputs.max())
    if high > LARGEST_VALUE:
        fault = f"holds floats from {low:g} to {high:g}, {_SAW_PIXELS}"
        raise DataError(name, fault, f"give pixels as integers, or floats times {scale:g}")
    return inputs


def as_inputs(name: str, part: str, values: Array) -> Array:
    """Convert inputs (n, ...) to (n, features) of uint8, float32 or float64, all finite.

    Raises
    ------
    DataError
        If they are not such numbers, or not at least one example of one feature.
    """
    if values.ndim < 2 or 0 in values.shape:
        fault = f"the {part} inputs have shape {values.shape}"
        raise DataError(name, fault, "give examples along the first axis, features along the rest")
    inputs = lazy_map(values, partial(_flattened, name, part))
    check_finite(name, part, "inputs", inputs)
    return inputs


def _flattened(name: str, part: str, values: Array) -> Array:
    """Return inputs (m, ...) as (m, features) of uint8, float32 or float64."""
    values = values.reshape(values.shape[0], -1)
    if values.dtype == np.uint8:  # writeable, for PyTorch warns of memory that is not
        return np.require(values, requirements=["C", "W"])
    return as_floats(name, part, "inputs", values)


def as_values(inputs: Array, unit: float | None = None) -> Array:
    """Return a copy of inputs as float64, 8-bit pixels times their unit."""
    values = inputs.astype(np.float64)
    return values * unit if inputs.dtype == np.uint8 and unit is not None else values


def as_bytes(values: Array, unit: float = 1.0) -> Array | None:
    """Return the uint8 array (n, ...) whose entries times `unit`, a power of two, are `values`.

    None if there is none; uint8 values are returned as they are, whatever the unit.
    """
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind != "f" or values.ndim == 0:
        return None
    if isinstance(values, StoredArray):
        as_own: Any = partial(as_bytes, unit=unit)
        stored = all(as_own(block) is not None for block in blocks(values))
        return values.map(as_own) if stored else None
    found = np.empty(values.shape, dtype=np.uint8)
    for start in range(0, len(values), BLOCK):
        block = values[start : start + BLOCK]
        if not ((block >= 0) & (block <= 255 * unit)).all():  # False for NaN, too
            return None
        in_units = block / unit
        found[start : start + BLOCK] = in_units
        if not np.array_equal(found[start : start + BLOCK], in_units):
            return None
    return found
