"""Reading and writing parts of an array, and its axes: `x[key]`, `x[key] = value`, `take`.

Every function takes the namespace first.  A key means the same on every library: integers must be
within bounds, slices are clipped to them and may run backwards.  Nothing is written in place:
`x[key] = value` gives x new values, and other arrays, including its views, keep theirs.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import NamedTuple

from pluggable_mlp.arrays import Array, Namespace, device_of, dtype_name, shortcuts
from pluggable_mlp.namespaces import kinds
from pluggable_mlp.namespaces.reproducible import coercion
from pluggable_mlp.namespaces.reproducible.array import (
    ArrayOrScalar,
    FixedPointArray,
    Key,
    KeyItem,
    Reproducible,
    ReproducibleArray,
    native_of,
)
from pluggable_mlp.namespaces.reproducible.creation import astype

Wrapped = ReproducibleArray


class _Key(NamedTuple):
    """A key that libraries understand: x[items], then places along an axis, then axes backwards."""

    items: tuple[object, ...]
    taken: tuple[int, Array] | None
    backwards: tuple[int, ...]

    def part(self, xp: Namespace, x: Array) -> Array:
        """Return the part of a library's array."""
        part = x[self.items]
        if self.taken is not None:
            axis, places = self.taken
            part = xp.take(part, places, axis=axis)
        if not self.backwards:
            return part
        return shortcuts.standard_function(xp, "flip")(part, axis=self.backwards)


def _key_of(ns: Reproducible, key: Key, shape: tuple[int, ...]) -> _Key:
    """Return the key for arrays of a shape, or raise IndexError."""
    named = [_item_of(ns, item) for item in (key if isinstance(key, tuple) else (key,))]
    items = expanded(named, shape)
    if len(named) == 1 and isinstance(named[0], Wrapped) and _is_mask(named[0]):
        return _Key((_placed(ns, named[0], 0, shape),), None, ())
    parts, backwards = _parts_of(ns, items, shape)
    arrays = [place for place, item in enumerate(items) if isinstance(item, Wrapped)]
    is_alone = len(arrays) == 1 and all(isinstance(item, slice | Wrapped) for item in items)
    if is_alone and parts[arrays[0]].ndim == 1:  # array-api-strict has no slices beside arrays
        [axis] = arrays
        places, parts[axis] = parts[axis], slice(None)
        if places.dtype == ns.bool:
            [places] = ns.library.nonzero(places)
        return _Key(tuple(parts), (axis, places), backwards)
    if arrays and backwards:
        raise IndexError("a slice beside arrays has a negative step; use xp.flip")
    return _Key(tuple(parts), None, backwards)


def expanded(items: Sequence[KeyItem], shape: tuple[int, ...]) -> list[KeyItem]:
    """Return the items with slices for an ellipsis and for axes that are left out."""
    count = sum(map(_axes_of, items))
    if count > len(shape):
        raise IndexError(f"the key is for {count} axes, but x is {shape}")
    ellipses = [place for place, item in enumerate(items) if item is ...]
    if len(ellipses) > 1:
        raise IndexError("a key has one Ellipsis at most")
    place = ellipses[0] if ellipses else len(items)
    return [*items[:place], *[slice(None)] * (len(shape) - count), *items[place + 1 :]]


def _parts_of(
    ns: Reproducible, items: list[KeyItem], shape: tuple[int, ...]
) -> tuple[list[Array], tuple[int, ...]]:
    """Return the library's items for these, one for each axis, and the axes to be reversed."""
    parts: list[Array] = []
    backwards: list[int] = []
    axis = 0
    for item in items:
        if isinstance(item, slice):
            part, is_reversed = _forwards(item, shape[axis])
            if is_reversed:
                backwards.append(sum(not isinstance(before, int) for before in parts))
            parts.append(part)
        elif isinstance(item, int | Wrapped):
            parts.append(_placed(ns, item, axis, shape[axis:]))
        else:
            parts.append(None)
        axis += _axes_of(item)
    return parts, tuple(backwards)


def _is_plain(key: Key, shape: tuple[int, ...]) -> bool:
    """Whether every library understands a key unchanged: a quick check for the keys of steps."""
    if type(key) is not tuple:
        return False
    is_of_axis = [item is not None for item in key]
    axis, ellipses = 0, 0
    for place, item in enumerate(key):
        if item is ...:
            axis, ellipses = len(shape) - sum(is_of_axis[place + 1 :]), ellipses + 1
        elif item is None:
            continue
        elif 0 <= axis < len(shape) and _is_within(item, shape[axis]):
            axis += 1
        else:
            return False
    return ellipses == 1 and axis == len(shape)


def _is_within(item: KeyItem, length: int) -> bool:
    if type(item) is int:
        return 0 <= item < length
    if type(item) is not slice or item.step is not None:
        return False
    start, stop = item.start or 0, length if item.stop is None else item.stop
    return type(start) is type(stop) is int and 0 <= start <= stop <= length


def _item_of(ns: Reproducible, item: KeyItem) -> KeyItem:
    """Return an item of a key as None, Ellipsis, slice, int, or array of the namespace."""
    if item is None or item is ... or isinstance(item, slice) or type(item) is int:
        return item
    array = item if isinstance(item, Wrapped) else ns.asarray(item)
    if array.kind:
        raise IndexError(f"an item of the key is {item!r}, expected integers or booleans")
    return array if array.ndim or _is_mask(array) else int(array)


def _is_mask(item: Wrapped) -> bool:
    return bool(item.dtype == item.namespace.bool)


def _axes_of(item: KeyItem) -> int:
    """Return how many axes of an array an item of its key stands for."""
    if isinstance(item, Wrapped):
        return item.ndim if _is_mask(item) else 1
    return 0 if item is None or item is ... else 1


def _forwards(item: slice, length: int) -> tuple[slice, bool]:
    """Return the slice within bounds and with a positive step, and whether it was negative."""
    chosen = range(length)[item]
    if not chosen:
        return slice(0, 0), False
    first, last = sorted((chosen[0], chosen[-1]))
    return slice(first, last + 1, abs(chosen.step)), chosen.step < 0


def _placed(
    ns: Reproducible, item: int | Wrapped, axis: int, lengths: tuple[int, ...]
) -> int | Array:
    """Return an integer or an array of a key, from 0, for the axes from `axis` on of a shape."""
    if isinstance(item, int):
        _require_bounds(item, item, axis, lengths[0])
        return item % lengths[0]
    if _is_mask(item):
        return _mask(ns, item, lengths[: item.ndim])
    xp, places = ns.library, ns.library.astype(item.native, ns.library.int64)
    if not ns.is_traced and 0 not in item.shape:
        _require_bounds(int(xp.min(places)), int(xp.max(places)), axis, lengths[0])
    return xp.where(places < 0, places + lengths[0], places)


def _mask(ns: Reproducible, mask: Wrapped, lengths: tuple[int, ...]) -> Array:
    """Return the library's mask for axes of these lengths; an axis of length 0 matches any."""
    if mask.shape == lengths:
        return mask.native
    if any(one not in (0, other) for one, other in zip(mask.shape, lengths, strict=True)):
        raise IndexError(f"the mask is {mask.shape}, but the axes are {lengths}")
    return ns.library.zeros(lengths, dtype=ns.bool, device=device_of(mask.native))


def _require_bounds(least: int, most: int, axis: int, length: int) -> None:
    if least < -length or most >= length:
        wrong = most if most >= length else least
        raise IndexError(f"index {wrong} is out of bounds for axis {axis} of length {length}")


def getitem(ns: Reproducible, x: Wrapped, key: Key, /) -> Wrapped:
    """Return x[key]; slices of 8-bit integers times a power of two stay so."""
    if _is_plain(key, x.shape):
        choose: Callable[[Array], Array] = itemgetter(key)
    else:
        choose = partial(_key_of(ns, key, x.shape).part, ns.library)
    items = key if isinstance(key, tuple) else (key,)
    if x.fixed_point is not None and all(item is ... or isinstance(item, slice) for item in items):
        return FixedPointArray(x.fixed_point.part(choose), ns)
    return Wrapped(choose(x.native), ns, x.underflow)


def setitem(ns: Reproducible, x: Wrapped, key: Key, value: ArrayOrScalar, /) -> Wrapped:
    """Return x with x[key] replaced by a value, in the dtype of x; the last of several for a place.

    Raises
    ------
    IndexError
        As for x[key].
    TypeError
        If the value and x differ in kind: float, integer or boolean.
    ValueError
        If its shape does not broadcast to that of x[key].
    """
    xp = ns.library
    every = xp.arange(math.prod(x.shape), dtype=xp.int64, device=device_of(x.native))
    places = _key_of(ns, key, x.shape).part(xp, xp.reshape(every, x.shape))
    new, underflow = _value_for(ns, x, value, tuple(places.shape))
    places = xp.reshape(places, (-1,))
    if not math.prod(places.shape):
        return x
    order = xp.argsort(places, stable=True)
    places = xp.take(places, order, axis=0)
    last = xp.searchsorted(places, every, side="right") - 1  # of those with this place, if any
    last = xp.where(last < 0, 0, last)
    chosen = xp.take(xp.reshape(new, (-1,)), xp.take(order, last, axis=0), axis=0)
    is_written = xp.take(places, last, axis=0) == every
    values = xp.where(is_written, chosen, xp.reshape(x.native, (-1,)))
    return Wrapped(xp.reshape(values, x.shape), ns, min(x.underflow, underflow))


def _value_for(
    ns: Reproducible, x: Wrapped, value: ArrayOrScalar, shape: tuple[int, ...]
) -> tuple[Array, int]:
    """Return the values to be written into x, of a shape, and their underflow class."""
    if not isinstance(value, Wrapped):
        number = coercion.as_scalar(x, value, "assignment")
        written = ns.full(shape, number, dtype=x.dtype, device=device_of(x.native))
        return written.native, coercion.underflow_of(x, number)
    if bool(value.kind) != bool(x.kind) or _is_mask(value) != _is_mask(x):
        raise TypeError(
            f"assignment of {dtype_name(value.dtype)} to {dtype_name(x.dtype)}: convert the value "
            "with xp.astype"
        )
    missing = len(shape) - value.ndim
    if missing < 0 or any(
        one not in (1, other) for one, other in zip(value.shape, shape[missing:], strict=True)
    ):
        raise ValueError(f"the value is {value.shape}, which does not broadcast to {shape}")
    value = astype(ns, value, x.dtype, copy=False)
    return ns.library.broadcast_to(value.native, shape), value.underflow


def take(ns: Reproducible, x: Wrapped, indices: Wrapped, /, *, axis: int | None = None) -> Wrapped:
    """Return the slices of x at the indices (n,) along an axis; negative ones count from its end.

    Raises
    ------
    IndexError
        If one is out of bounds.
    ValueError
        If no axis is given, but x has several.
    """
    if axis is None and x.ndim != 1:
        raise ValueError(f"axis is None, expected one of the {x.ndim} axes of {x.shape}")
    place, places = _along(ns, x, indices, 0 if axis is None else axis)
    return Wrapped(ns.library.take(x.native, places, axis=place), ns, x.underflow)


def take_along_axis(
    ns: Reproducible, x: Wrapped, indices: Wrapped, /, *, axis: int = -1
) -> Wrapped:
    """Return the elements of x at indices with as many axes, each taken along its own line.

    Raises
    ------
    IndexError
        As for `take`.
    """
    place, places = _along(ns, x, indices, axis)
    return Wrapped(ns.library.take_along_axis(x.native, places, axis=place), ns, x.underflow)


def _along(ns: Reproducible, x: Wrapped, indices: Wrapped, axis: int) -> tuple[int, Array]:
    """Return an axis of x from 0, and the library's indices along it from 0."""
    if not -x.ndim <= axis < x.ndim:
        raise IndexError(f"axis is {axis}, expected one of the {x.ndim} axes of {x.shape}")
    indices = ns.asarray(indices)
    if indices.kind or _is_mask(indices):
        raise IndexError(f"indices are {dtype_name(indices.dtype)}, expected integers")
    place = axis % x.ndim
    return place, _placed(ns, indices, place, x.shape[place:])


def take_rows(ns: Reproducible, x: Wrapped, indices: Wrapped | Array, /) -> Wrapped:
    """Return `take` along axis 0, for indices that are at least 0 and less than the length.

    They may be the library's, as is the order of a data set.
    """
    return Wrapped(shortcuts.take_rows(ns.library, x.native, native_of(indices)), ns, x.underflow)


def expand_dims(ns: Reproducible, x: Wrapped, /, *, axis: int = 0) -> Wrapped:
    """Return x with an axis of length 1 at a place, from -ndim - 1 to ndim.

    Raises
    ------
    IndexError
        If it is out of bounds.
    """
    if not -x.ndim - 1 <= axis <= x.ndim:
        raise IndexError(f"axis is {axis}, out of bounds for {x.ndim + 1} axes")
    return Wrapped(ns.library.expand_dims(x.native, axis=axis), ns, x.underflow)


def permute_dims(ns: Reproducible, x: Wrapped, /, axes: tuple[int, ...]) -> Wrapped:
    """Return x with its axes in another order; negative ones count from the end."""
    order = tuple(axis + x.ndim if axis < 0 else axis for axis in axes)
    if sorted(order) != [*range(x.ndim)]:
        raise ValueError(f"axes are {axes}, expected each of the {x.ndim} axes of {x.shape} once")
    return Wrapped(ns.library.permute_dims(x.native, order), ns, x.underflow)


FUNCTIONS: dict[str, Callable[..., Wrapped]] = {
    "_getitem": getitem,
    "_setitem": setitem,
    **kinds.by_name(expand_dims, permute_dims, take_rows, take, take_along_axis),
}
