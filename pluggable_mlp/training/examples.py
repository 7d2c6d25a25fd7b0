"""Examples: on the device, or on the host to be moved there block by block, and their batches.

Shapes: inputs (examples, in), integers with a scale or floats; targets (examples,) or rows
(examples, outputs); sample_weight and order (examples,); in a batch, batch replaces examples.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from pluggable_mlp import arrays as libraries
from pluggable_mlp.arrays import (
    Array,
    DType,
    Namespace,
    device_of,
    dtype_name,
    map_nested,
    readable,
)
from pluggable_mlp.arrays.shortcuts import load_offers, own, rows_from, take_rows
from pluggable_mlp.backends import Backend
from pluggable_mlp.distributed.communicators import Communicator
from pluggable_mlp.fields import Positive, convert
from pluggable_mlp.host.lazy import Range, Rows, as_lazy, gather, rows_on_host, rows_within
from pluggable_mlp.namespaces import namespace_of, unwrapped
from pluggable_mlp.network.checks import check_sample_weight, check_targets
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.training.class_weight import class_weights_of_examples

_BYTES_STREAMED = 2**24  # bytes of inputs that are checked at once, if they stay on the host

Batch = tuple[Array, Array, Array | None]
Arrays = tuple[Array, Array, Array | None, Array | None]
"""Inputs, targets, sample_weight and order."""


@dataclass(frozen=True)
class Examples:
    """Inputs and targets on the device of the training.

    Parameters
    ----------
    inputs : array (examples, in)
        Floats of the training's dtype; or 8-bit integers, with a scale.
    targets : array (examples,) or (examples, outputs)
    dtype
        The floating dtype of a batch.
    scale : float or None
        A power of two by which integers are multiplied, batch by batch.
    sample_weight : array (examples,) or None
        Of that dtype.
    order : array of int64 (examples,) or None
        The indices of the examples as they are visited; None: as they come.  Or
        (examples, networks) for several networks, or members, with orders of their own, so that
        batches have a leading axis of these.  Examples that come in such orders have it second.
    """

    inputs: Array
    targets: Array
    dtype: DType
    scale: float | None = None
    sample_weight: Array | None = None
    order: Array | None = None

    def __len__(self) -> int:
        return int(self.inputs.shape[0])

    @property
    def block_size(self) -> int:
        """How many examples are on the device together: all."""
        return len(self)

    @property
    def kind(self) -> "Examples":
        """Examples without arrays, of the same dtype and scale."""
        return self.with_arrays((None, None, None, None))

    @property
    def arrays(self) -> Arrays:
        """The arguments of a compiled function."""
        return self.inputs, self.targets, self.sample_weight, self.order

    def with_arrays(self, arrays: Arrays) -> "Examples":
        """Return examples of the same dtype and scale with other `arrays`."""
        inputs, targets, sample_weight, order = arrays
        return replace(
            self, inputs=inputs, targets=targets, sample_weight=sample_weight, order=order
        )

    def batch(self, xp: Namespace, start: int, size: int) -> Batch:
        """Return inputs (batch, in), targets (batch, …) and sample_weight from `start` on.

        A batch at the end is smaller.  The sample_weight is (batch,), or None.  Without an order a
        batch is a view.
        """
        return self.batch_of(xp, start, min(size, len(self) - start))

    def batch_of(self, xp: Namespace, start: int | Array, size: int) -> Batch:
        """Return the batch of exactly `size` examples that begins at `start`, a number or 0-d."""
        return self.floats_of(xp, self.rows_of(xp, start, size))

    def rows_of(self, xp: Namespace, start: int | Array, size: int) -> Batch:
        """Return the rows of a batch as they are, with integers."""
        arrays = self.inputs, self.targets, self.sample_weight
        if self.order is not None:
            places = rows_from(xp, self.order, start, size)
            flat = places if places.ndim == 1 else xp.reshape(places.T, (-1,))
            rows: Batch = map_nested(lambda x: take_rows(xp, x, flat), arrays)
            if places.ndim > 1:  # (networks * batch, …)
                rows = map_nested(lambda x: xp.reshape(x, (-1, size, *x.shape[1:])), rows)
        elif size == len(self):  # a compiler would copy the whole data set
            rows = arrays
        else:
            rows = map_nested(lambda x: rows_from(xp, x, start, size), arrays)
        if self.order is None and self.inputs.ndim > 2:
            rows = map_nested(lambda x: xp.permute_dims(x, (1, 0, *range(2, x.ndim))), rows)
        return rows

    def floats_of(self, xp: Namespace, rows: Batch) -> Batch:
        """Return a batch of such rows: integers become floats."""
        x, targets, sample_weight = rows
        if self.scale is not None:
            x = xp.astype(x, self.dtype)
            x *= self.scale
        return x, targets, sample_weight


@dataclass(frozen=True)
class Streamed:
    """Inputs and targets on the host, moved to the device a block at a time.

    Parameters
    ----------
    inputs, targets, sample_weight : Rows
        As `Examples` has them, on the host, inputs perhaps in a file; sample_weight may be None.
    block_size : int
        How many examples are moved together; less than there are.
    kind : Examples
        Examples without arrays, with the dtype and the scale of blocks.
    moved : callable
        Moves inputs, targets and sample_weight of a block to the device, in this order.
    """

    inputs: Rows
    targets: Rows
    sample_weight: Rows | None
    block_size: int
    kind: Examples
    moved: Callable[[Array, Array, Array | None], Batch]

    def __len__(self) -> int:
        return int(self.inputs.shape[0])

    def read(self, ranges: Iterable[Range]) -> Batch:
        """Return inputs, targets and sample_weight of ranges of rows, on the host."""
        ranges = list(ranges)
        arrays = self.inputs, self.targets, self.sample_weight
        rows: Batch = map_nested(lambda rows: gather(rows, ranges), arrays)
        return rows

    def on_device(self, block: Batch, order: Array | None = None) -> Examples:
        """Return what was read as examples on the device; their order stays on the host."""
        return self.kind.with_arrays((*self.moved(*block), order))


AnyExamples = Examples | Streamed


def make_examples(
    mlp: MLP,
    inputs: Array,
    targets: Array,
    *,
    backend: Backend,
    dtype: str,
    scale: float | None = None,
    sample_weight: Array | None = None,
    class_weight: object = None,
    arithmetic: str = "native",
    block_size: int | None = None,
    communicator: Communicator | None = None,
) -> AnyExamples:
    """Check inputs (examples, in), targets and sample_weight, and move them to the backend.

    More than a block of them, or those of several processes, stay where they are until they are
    visited, and are checked here block by block.  The arguments are those of `train`.

    Raises
    ------
    ValueError, TypeError
        If their shapes, dtypes or ranges do not fit the network; the message says which.
    """
    scale = None if scale is None else convert("scale", scale, Positive)
    xp, weights = namespace_of(arithmetic, backend), (sample_weight, class_weight)
    kind, place = Examples(None, None, getattr(xp, dtype), scale), (backend, dtype)
    rows = inputs
    if communicator is not None:
        rows = rows_on_host(inputs, backend)
        count = rows.shape[0] if rows.shape else 0
        size = count if block_size is None else min(block_size, count)
        return _streamed(mlp, xp, rows, targets, weights, size, kind, *place)
    if block_size is not None:
        rows = as_lazy(inputs)
        if len(rows.shape) == 2 and rows.shape[0] > block_size:
            return _streamed(mlp, xp, rows, targets, weights, block_size, kind, *place)
        rows = rows[:]
    x = moved_floats(backend, rows, dtype)
    _check_inputs(mlp, xp, x, dtype, scale)
    checked = _checked_targets(mlp, xp, x, targets, weights, *place)
    return kind.with_arrays((_as_floats(xp, x, dtype), *checked, None))


def _streamed(
    mlp: MLP,
    xp: Namespace,
    rows: Rows,
    targets: Array,
    weights: tuple[Array | None, object],
    block_size: int,
    kind: Examples,
    backend: Backend,
    dtype: str,
) -> Streamed:
    """Return examples that stay on the host: at most a block is on the device at once."""
    count = rows.shape[0]
    at_once = min(block_size, rows_within(_BYTES_STREAMED, rows.shape, rows.dtype))
    for start in range(0, max(count, 1), at_once):
        block = moved_floats(backend, rows[start : start + at_once], dtype)
        _check_inputs(mlp, xp, block, dtype, kind.scale)
    like = moved_floats(backend, targets, dtype)
    # The inputs' count alone tells whether they fit the inputs.
    stand_in = backend.xp.zeros((count, 1), dtype=block.dtype, device=device_of(like))
    checked = _checked_targets(mlp, xp, stand_in, like, weights, backend, dtype)
    y, weight = map_nested(lambda x: backend.to_numpy(unwrapped(x)), checked)

    def moved(x: Array, *others: Array | None) -> Batch:
        on_device = map_nested(lambda rows: xp.asarray(backend.asarray(rows)), others)
        return _as_floats(xp, moved_floats(backend, x, dtype), dtype), *on_device

    return Streamed(rows, y, weight, block_size, kind, moved)


def _checked_targets(
    mlp: MLP,
    xp: Namespace,
    moved: Array,
    targets: Array,
    weights: tuple[Array | None, object],
    backend: Backend,
    dtype: str,
) -> tuple[Array, Array | None]:
    """Return targets and sample_weight as the loss takes them; refuse what does not fit."""
    sample_weight, class_weight = weights
    targets = unwrapped(_as_floats(xp, moved_floats(backend, targets, dtype), dtype))
    floating = getattr(xp, dtype)
    targets = xp.asarray(check_targets(mlp, moved, targets, floating))
    if sample_weight is not None:
        sample_weight = _as_floats(xp, moved_floats(backend, sample_weight, dtype), dtype)
        sample_weight = xp.astype(sample_weight, floating, copy=False)  # of integers, too
        check_sample_weight(moved, unwrapped(sample_weight), floating)
    if class_weight is not None:
        kind, outputs = mlp.objective.targets, mlp.sizes[-1]
        class_weights = class_weights_of_examples(
            xp, kind, targets, outputs, class_weight, floating
        )
        name = "class_weight of the examples"
        if sample_weight is not None:
            name = "class_weight * sample_weight"
            class_weights = sample_weight * class_weights
        sample_weight = class_weights
        check_sample_weight(moved, unwrapped(sample_weight), floating, name=name)
    return targets, sample_weight


def _check_inputs(mlp: MLP, xp: Namespace, moved: Array, dtype: str, scale: float | None) -> None:
    """Refuse inputs that are neither uint8 with a scale nor finite floats, or of another shape."""
    if moved.ndim != 2 or moved.shape[1] != mlp.sizes[0] or moved.shape[0] < 1:
        shape = tuple(moved.shape)
        raise ValueError(f"inputs has shape {shape}, expected (examples, {mlp.sizes[0]})")
    if scale is not None:
        if moved.dtype != xp.uint8:
            raise ValueError(
                f"inputs are {moved.dtype} with scale={scale}, expected uint8: "
                "only pixels are scaled"
            )
    elif not xp.isdtype(moved.dtype, "real floating"):
        raise ValueError(
            f"inputs are {moved.dtype}, expected floats, or uint8 with scale=1/256; convert them"
        )
    else:
        bound = min(float(xp.finfo(kind).max) for kind in (moved.dtype, getattr(xp, dtype)))
        if not all_within(moved, bound):
            raise ValueError(
                f"inputs hold NaN, infinity or numbers beyond {dtype}; scale or drop them"
            )


def all_within(x: Array, bound: float) -> bool:
    """Return whether all elements of floats x, at least one, are finite and no larger."""
    xp, x = readable(x)
    load_offers(xp)  # those of NumPy, when another library's array is read on the host
    sum_of_squares = own(xp, "sum_of_squares")
    if sum_of_squares is not None and sum_of_squares(x) < bound * bound:
        return True
    # XLA's extremes lose NaN on the processor, where JAX may divide an array among devices:
    # https://github.com/openxla/xla/issues/21461 (seen with jaxlib 0.10.2).
    is_within = (xp.max(x) <= bound) & (xp.min(x) >= -bound)
    return bool(is_within & ~xp.any(xp.isnan(x)))


def moved_floats(backend: Backend, values: Array, dtype: str) -> Array:
    """Return values on the backend; float64 becomes the dtype before, if the device lacks it."""
    missing = getattr(backend, "missing_dtypes", ())
    if missing and not hasattr(values, "dtype"):
        values = as_lazy(values)  # of lists
    is_missing = bool(missing) and dtype_name(values.dtype) in missing
    return backend.asarray(values, dtype) if is_missing else backend.asarray(values)


def _as_floats(xp: Namespace, moved: Array, dtype: str) -> Array:
    """Return an array of the namespace: floats of the dtype, or integers unchanged."""
    x = xp.asarray(libraries.without_graph(moved))
    if not xp.isdtype(x.dtype, "real floating"):
        return x
    return xp.astype(x, getattr(xp, dtype), copy=False)
