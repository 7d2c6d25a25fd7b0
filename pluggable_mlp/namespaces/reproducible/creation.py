"""How arrays come into the reproducible namespace: from a library's, from numbers, from ranges.

Every function takes the namespace first.  What enters has its denormal numbers and negative zeros
made +0.
"""

import math
from collections.abc import Callable
from typing import Any

import array_api_compat

from pluggable_mlp.arrays import Array, DType, device_of, dtype_name
from pluggable_mlp.namespaces.reproducible.array import ANY, PRODUCTS, ReproducibleArray, native_of
from pluggable_mlp.namespaces.reproducible.factor import fixed_point
from pluggable_mlp.namespaces.reproducible.rounding import flush

__all__ = ["FUNCTIONS", "check_dtype", "entered"]

Wrapped = ReproducibleArray
Number = bool | int | float


def check_dtype(ns: Any, dtype: DType) -> None:
    """Refuse a dtype that the namespace has no rules for; None is the library's default."""
    if dtype is not None:
        ns.kinds[dtype]


def entered(ns: Any, array: Array) -> Wrapped:
    """Return a library's array of any values as one of the namespace."""
    check_dtype(ns, array.dtype)
    if ns.kinds[array.dtype]:
        array = flush(ns.library, array)
    return Wrapped(array, ns)


def asarray(
    ns: Any, obj: Any, /, *, dtype: DType = None, device: Any = None, copy: bool | None = None
) -> Wrapped:
    """Return an array of a library's array, of an array of this namespace, or of numbers.

    Raises
    ------
    TypeError
        If the dtype is complex or of 16 bits.
    ValueError
        If `copy` is False and one is needed.
    """
    check_dtype(ns, dtype)
    if isinstance(obj, Wrapped):
        same = dtype is None or dtype == obj.dtype
        if copy is None and device is None:
            return obj if same else astype(ns, obj, dtype)
        if copy is False and not same:
            raise ValueError(f"copy is False, but {dtype_name(obj.dtype)} must be converted")
        if not same:
            obj = astype(ns, obj, dtype)
        more = {} if device is None else {"device": device}
        return Wrapped(ns.library.asarray(obj.native, copy=copy, **more), ns, obj.grain)
    more = {
        name: value for name, value in (("device", device), ("copy", copy)) if value is not None
    }
    if dtype is not None and array_api_compat.is_array_api_obj(obj):
        return astype(ns, entered(ns, ns.library.asarray(obj, **more)), dtype, copy=False)
    return entered(ns, ns.library.asarray(native_of(obj), dtype=dtype, **more))


def astype(
    ns: Any, x: Wrapped, dtype: DType, /, *, copy: bool = True, device: Any = None
) -> Wrapped:
    """Return x in another dtype; 8-bit integers made floats stay known as fixed point."""
    xp = ns.library
    check_dtype(ns, dtype)
    if device is not None:
        x = x.to_device(device)
    if x.dtype == dtype:
        return Wrapped(xp.astype(x.native, dtype, copy=True), ns, x.grain) if copy else x
    floating = bool(ns.kinds[dtype])
    if floating and x.dtype in (xp.uint8, xp.int8) and x.ndim >= 2:
        return Wrapped(None, ns, PRODUCTS, fixed_point(xp, x.native, 1.0, dtype))
    if x.kind == "float64" and dtype == xp.float32:
        return Wrapped(ns.rules.flush(x.native, dtype), ns)
    converted = xp.astype(x.native, dtype)
    return Wrapped(converted, ns, PRODUCTS if floating else ANY)  # float32's are large in float64


def arange(
    ns: Any,
    start: float,
    /,
    stop: float | None = None,
    step: float = 1,
    *,
    dtype: DType = None,
    device: Any = None,
) -> Wrapped:
    """Return start + i step for each i that stays before stop, a product and a sum rounded."""
    xp = ns.library
    if stop is None:
        start, stop = 0, start
    if dtype is None:
        whole = all(isinstance(value, int) for value in (start, stop, step))
        dtypes = xp.__array_namespace_info__().default_dtypes(device=device)
        dtype = dtypes["integral" if whole else "real floating"]
    check_dtype(ns, dtype)
    if not ns.kinds[dtype]:
        return Wrapped(xp.arange(start, stop, step, dtype=dtype, device=device), ns)
    count = max(math.ceil((stop - start) / step), 0)
    return _progression(ns, start, step, count, dtype, device)


def linspace(
    ns: Any,
    start: float,
    stop: float,
    /,
    num: int,
    *,
    dtype: DType = None,
    device: Any = None,
    endpoint: bool = True,
) -> Wrapped:
    """Return start + i (stop - start) / n in float64, rounded to the dtype; the last is stop."""
    xp = ns.library
    if dtype is None:
        dtype = xp.__array_namespace_info__().default_dtypes(device=device)["real floating"]
    check_dtype(ns, dtype)
    intervals = num - 1 if endpoint else num
    step = (stop - start) / intervals if intervals else 0.0
    y = _progression(ns, start, step, num, dtype, device)
    if endpoint and num > 1:
        last = xp.full((1,), float(stop), dtype=dtype, device=device)
        y = ns.concat([y[: num - 1], entered(ns, last)])
    return y


def _progression(
    ns: Any, start: float, step: float, count: int, dtype: DType, device: Any
) -> Wrapped:
    xp = ns.library
    y = xp.astype(xp.arange(count, dtype=xp.int64, device=device), xp.float64)
    y = y * float(step)
    y = y + float(start)
    return entered(ns, xp.astype(y, dtype, copy=False))


def full(
    ns: Any,
    shape: int | tuple[int, ...],
    fill_value: Number,
    *,
    dtype: DType = None,
    device: Any = None,
) -> Wrapped:
    """Return an array of one number; a denormal one is 0."""
    check_dtype(ns, dtype)
    return entered(ns, ns.library.full(shape, fill_value, dtype=dtype, device=device))


def full_like(
    ns: Any, x: Wrapped, /, fill_value: Number, *, dtype: DType = None, device: Any = None
) -> Wrapped:
    """Return an array of one number, in the shape of x."""
    return _like(ns, x, "full", dtype, device, fill_value)


def _like(ns: Any, x: Wrapped, name: str, dtype: DType, device: Any, *more: Any) -> Wrapped:
    place = device_of(x.native) if device is None else device
    dtype = x.dtype if dtype is None else dtype
    return getattr(ns, name)(x.shape, *more, dtype=dtype, device=place)


def zeros(
    ns: Any, shape: int | tuple[int, ...], *, dtype: DType = None, device: Any = None
) -> Wrapped:
    """Return an array of zeros."""
    check_dtype(ns, dtype)
    return Wrapped(ns.library.zeros(shape, dtype=dtype, device=device), ns, PRODUCTS)


def ones(
    ns: Any, shape: int | tuple[int, ...], *, dtype: DType = None, device: Any = None
) -> Wrapped:
    """Return an array of ones."""
    check_dtype(ns, dtype)
    return Wrapped(ns.library.ones(shape, dtype=dtype, device=device), ns, PRODUCTS)


def eye(
    ns: Any,
    n_rows: int,
    n_cols: int | None = None,
    /,
    *,
    k: int = 0,
    dtype: DType = None,
    device: Any = None,
) -> Wrapped:
    """Return ones on a diagonal (n_rows, n_cols), else zeros."""
    check_dtype(ns, dtype)
    made = ns.library.eye(n_rows, n_cols, k=k, dtype=dtype, device=device)
    return Wrapped(made, ns, PRODUCTS)


def _plain_like(name: str) -> Any:
    def make(ns: Any, x: Wrapped, /, *, dtype: DType = None, device: Any = None) -> Wrapped:
        return _like(ns, x, name, dtype, device)

    return make


def from_dlpack(ns: Any, x: Any, /, *, device: Any = None, copy: bool | None = None) -> Wrapped:
    """Return an array of what another library offers by DLPack."""
    given = {"device": device, "copy": copy}
    more = {name: value for name, value in given.items() if value is not None}
    return entered(ns, ns.library.from_dlpack(native_of(x), **more))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "asarray": asarray,
    "astype": astype,
    "arange": arange,
    "linspace": linspace,
    "full": full,
    "full_like": full_like,
    "from_dlpack": from_dlpack,
    "empty": zeros,  # what it would hold is anything
    "zeros": zeros,
    "ones": ones,
    "eye": eye,
    **{f"{name}_like": _plain_like(name) for name in ("empty", "zeros", "ones")},
}
