"""Creating arrays of the reproducible namespace from a library's, from numbers, from ranges.

Every function takes the namespace first.  Denormal numbers and negative zeros become +0.
"""

import math
import numbers
from collections.abc import Callable

from pluggable_mlp.arrays import Array, Device, DType, Namespace, device_of, dtype_name
from pluggable_mlp.arrays.shortcuts import standard_function, zero_below
from pluggable_mlp.elementary.common import SMALLEST_NORMAL, flush_to
from pluggable_mlp.namespaces import kinds
from pluggable_mlp.namespaces.reproducible.array import (
    ANY,
    PRODUCTS,
    FixedPointArray,
    Reproducible,
    ReproducibleArray,
    Scalar,
    native_of,
    to_native,
)
from pluggable_mlp.namespaces.reproducible.coercion import in_dtype, of_numbers, require_in_range
from pluggable_mlp.namespaces.reproducible.dtypes import limits
from pluggable_mlp.namespaces.reproducible.operand import FixedPoint

Wrapped = ReproducibleArray


def entered(ns: Reproducible, array: Array) -> Wrapped:
    """Return a library's array of any values as one of the namespace."""
    kind = ns.kinds[array.dtype]
    if kind:
        array = zero_below(ns.library, array, SMALLEST_NORMAL[kind])
    return Wrapped(array, ns)


def asarray(
    ns: Reproducible,
    obj: object,
    /,
    *,
    dtype: DType = None,
    device: Device = None,
    copy: bool | None = None,
) -> Wrapped:
    """Return an array from a library's array, an array of this namespace, or numbers.

    Numbers, alone or in nested lists, are float64, int64 or bool on every library.

    Raises
    ------
    TypeError
        If the dtype is complex or of 16 bits, or arrays are in lists.
    OverflowError
        If an integer is not in the dtype.
    ValueError
        If lists are of different lengths, or `copy` is False and one is needed.
    """
    if dtype is not None:
        ns.kinds[dtype]  # refuses one without rules
    if isinstance(obj, Wrapped):
        return _of_wrapped(ns, obj, dtype, device, copy)
    if isinstance(obj, numbers.Number | list | tuple | range):
        if copy is False:
            raise ValueError("copy is False, but numbers must be copied")
        return ns._entered(of_numbers(ns, obj, dtype, device))
    make = standard_function(ns.library, "asarray")
    array = ns._entered(make(obj, device=device, copy=copy))
    return array if dtype is None else astype(ns, array, dtype, copy=False)


def _of_wrapped(
    ns: Reproducible, x: Wrapped, dtype: DType, device: Device, copy: bool | None
) -> Wrapped:
    if x.namespace.library is not ns.library:
        return asarray(ns, to_native(x), dtype=dtype, device=device, copy=copy)
    if dtype is not None and dtype != x.dtype:
        if copy is False:
            raise ValueError(f"copy is False, but {dtype_name(x.dtype)} must be converted")
        return astype(ns, x, dtype, device=device)
    if not copy and device is None:
        return x if x.namespace is ns else x.in_namespace(ns)
    return Wrapped(ns.library.asarray(x.native, copy=copy, device=device), ns, x.underflow)


def astype(
    ns: Reproducible, x: Wrapped, dtype: DType, /, *, copy: bool = True, device: Device = None
) -> Wrapped:
    """Return x in another dtype; 8-bit integers become a `FixedPointArray`.

    Floats are truncated to integers: those out of range become the nearest one, NaN becomes 0.
    Integers wrap around in integer dtypes.
    """
    xp, floating = ns.library, bool(ns.kinds[dtype])
    if device is not None:
        x = x.to_device(device)
    if x.dtype == dtype:
        return Wrapped(xp.astype(x.native, dtype, copy=True), ns, x.underflow) if copy else x
    if floating and x.dtype in (xp.uint8, xp.int8) and x.ndim >= 2:
        # The floats are computed on demand, and others may write into the integers before that.
        copied = x.native if ns.is_traced else xp.asarray(x.native, copy=True)
        return FixedPointArray(FixedPoint(xp, copied, 1.0, dtype), ns)
    if x.kind == "float64" and floating:
        return Wrapped(flush_to(xp, x.native, dtype), ns)
    if x.kind and not floating and dtype != xp.bool:
        return Wrapped(_to_integers(xp, x.native, dtype), ns)
    converted = xp.astype(x.native, dtype)
    return Wrapped(converted, ns, PRODUCTS if floating else ANY)  # float32's are large in float64


def _to_integers(xp: Namespace, x: Array, dtype: DType) -> Array:
    """Return floats x (any shape) in an integer dtype, clipped to its range."""
    low, high = limits(xp, dtype)
    x = xp.astype(x, xp.float64, copy=False)
    above, below = x >= float(high + 1), x < float(low)  # high itself may be no float64
    within = xp.astype(xp.where(above | below | xp.isnan(x), 0.0, x), dtype)
    ends = (xp.full_like(within, end) for end in (low, high))
    return xp.where(below, next(ends), xp.where(above, next(ends), within))


def arange(
    ns: Reproducible,
    start: float,
    /,
    stop: float | None = None,
    step: float = 1,
    *,
    dtype: DType = None,
    device: Device = None,
) -> Wrapped:
    """Return start + i step for each i before stop, with product and sum each rounded."""
    xp = ns.library
    if stop is None:
        start, stop = 0, start
    whole = isinstance(start, int) and isinstance(stop, int) and isinstance(step, int)
    if dtype is None:
        dtype = xp.int64 if whole else xp.float64
    if step == 0:
        raise ValueError("step is 0, expected another number")
    if ns.kinds[dtype]:
        count = max(math.ceil((stop - start) / step), 0)
        return _progression(ns, start, step, count, dtype, device)
    if not whole:
        raise TypeError(
            f"start, stop, step are {start}, {stop}, {step}, expected integers for the dtype "
            f"{dtype_name(dtype)}"
        )
    chosen = range(int(start), int(stop), int(step))
    if not chosen:  # PyTorch refuses some
        return zeros(ns, (0,), dtype=dtype, device=device)
    require_in_range(xp, dtype, chosen[0], chosen[-1])
    return Wrapped(xp.arange(start, stop, step, dtype=dtype, device=device), ns)


def linspace(
    ns: Reproducible,
    start: float,
    stop: float,
    /,
    num: int,
    *,
    dtype: DType = None,
    device: Device = None,
    endpoint: bool = True,
) -> Wrapped:
    """Return start + i (stop - start) / n in float64, rounded to the dtype; the last is stop."""
    dtype = ns.library.float64 if dtype is None else dtype
    if not ns.kinds[dtype]:
        raise TypeError(f"dtype is {dtype_name(dtype)}, expected float32 or float64")
    intervals = num - 1 if endpoint else num
    step = (stop - start) / intervals if intervals else 0.0
    y = _progression(ns, start, step, num, dtype, device)
    if endpoint and num > 1:
        last = full(ns, (1,), float(stop), dtype=dtype, device=device)
        y = ns.concat([y[: num - 1], last])
    return y


def _progression(
    ns: Reproducible, start: float, step: float, count: int, dtype: DType, device: Device
) -> Wrapped:
    xp = ns.library
    y = xp.astype(xp.arange(count, dtype=xp.int64, device=device), xp.float64)
    y = y * float(step)
    y = y + float(start)
    return Wrapped(flush_to(xp, y, dtype), ns)


def full(
    ns: Reproducible,
    shape: int | tuple[int, ...],
    fill_value: Scalar,
    *,
    dtype: DType = None,
    device: Device = None,
) -> Wrapped:
    """Return an array filled with a number, in the dtype of `asarray`; a denormal one is 0."""
    dtype = asarray(ns, fill_value).dtype if dtype is None else dtype
    value = in_dtype(ns, fill_value, dtype)
    return ns._entered(ns.library.full(shape, value, dtype=dtype, device=device))


def _filled(name: str, doc: str) -> Callable[..., Wrapped]:
    """Return a function of a shape, filled with 0 or 1 by the library's function of that name."""

    def make(
        ns: Reproducible,
        *shape: object,
        dtype: DType = None,
        device: Device = None,
        **settings: object,
    ) -> Wrapped:
        dtype = ns.library.float64 if dtype is None else dtype
        underflow = PRODUCTS if ns.kinds[dtype] else ANY
        array = getattr(ns.library, name)(*shape, dtype=dtype, device=device, **settings)
        return Wrapped(array, ns, underflow)

    make.__doc__ = doc
    return make


zeros: Callable[..., Wrapped] = _filled("zeros", "Return an array of zeros.")


def _like(name: str) -> Callable[..., Wrapped]:
    """Return the function of an array whose result has that array's shape, dtype and device."""

    def make(
        ns: Reproducible,
        x: Wrapped,
        /,
        *fill_value: Scalar,
        dtype: DType = None,
        **settings: object,
    ) -> Wrapped:
        place = settings.pop("device", None)
        place = device_of(x.native) if place is None else place
        dtype = x.dtype if dtype is None else dtype
        return getattr(ns, name)(x.shape, *fill_value, dtype=dtype, device=place, **settings)

    make.__doc__ = f"Return `{name}` of the shape, the dtype and the device of x."
    return make


def from_dlpack(
    ns: Reproducible, x: object, /, *, device: Device = None, copy: bool | None = None
) -> Wrapped:
    """Return an array of another library, taken over by DLPack."""
    options = {"device": device, "copy": copy}
    options = {name: value for name, value in options.items() if value is not None}  # some lack it
    return ns._entered(ns.library.from_dlpack(native_of(x), **options))


FUNCTIONS: dict[str, Callable[..., Wrapped]] = {
    "_entered": entered,
    **kinds.by_name(asarray, astype, arange, linspace, full, from_dlpack),
    "empty": zeros,  # arbitrary values would differ
    "zeros": zeros,
    "ones": _filled("ones", "Return an array of ones."),
    "eye": _filled("eye", "Return ones on a diagonal (n_rows, n_cols), else zeros."),
    **{f"{name}_like": _like(name) for name in ("empty", "full", "zeros", "ones")},
}
