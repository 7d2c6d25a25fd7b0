"""Checks of the arguments of the network's public methods; inner code relies on them.

Shapes: parameters are a list with one dict {"W": (…, in, out), "b": (…, out)} per dense layer;
x is (…, batch, in); targets are (…, batch) or rows (…, batch, outputs); sample_weight is
(…, batch).
"""

from collections.abc import Sequence
from numbers import Real

from pluggable_mlp import arrays
from pluggable_mlp.arrays import Array, DType, Namespace, device_of, readable
from pluggable_mlp.elementary.common import SMALLEST_NORMAL, type_name
from pluggable_mlp.fields import Count, as_seed, convert
from pluggable_mlp.namespaces import namespace_at
from pluggable_mlp.network.layers import Rng
from pluggable_mlp.network.loss import TargetKind
from pluggable_mlp.network.members import Networks
from pluggable_mlp.network.parameters import Parameters, first_array, map_arrays
from pluggable_mlp.network.passes import LayeredNetwork

# The sum of a row of probabilities may differ from 1 by this much.
_ROW_SUM_TOLERANCE = 1e-3


def check_parameters(
    mlp: LayeredNetwork, parameters: Parameters
) -> tuple[Namespace, tuple[int, ...]]:
    """Return the namespace of the parameters, and their leading axes; raise if they do not fit.

    Raises
    ------
    ValueError
        If there are too few or too many layers, or a name, shape or dtype is wrong.
    TypeError
        If it is not a list of dicts, a parameter is not an array, or two are of different
        libraries.
    """
    expected = mlp.shapes
    remedy = "make them with mlp.initialize(seed=0, backend=...)"
    if not isinstance(parameters, Sequence):
        kind = type(parameters).__name__
        raise TypeError(f"parameters is a {kind}, expected a list of dicts of arrays; {remedy}")
    if len(parameters) != len(expected):
        raise ValueError(
            f"parameters is a list of {len(parameters)}, expected {len(expected)} dicts of arrays "
            f"for a network of {mlp.sizes}; {remedy}"
        )
    named, core_shapes = {}, []
    for index, (shapes, layer) in enumerate(zip(expected, parameters, strict=True)):
        if not isinstance(layer, dict):
            kind = type(layer).__name__
            raise TypeError(f"parameters[{index}] is a {kind}, expected a dict; {remedy}")
        if set(layer) != set(shapes):
            raise ValueError(
                f"parameters[{index}] holds {sorted(map(str, layer))}, expected {sorted(shapes)}"
            )
        for key, shape in shapes.items():
            named[f"parameters[{index}][{key!r}]"] = layer[key]
            core_shapes.append(shape)
    xp = arrays.common_namespace(**named)
    key, first = next(iter(parameters[0].items()))
    if first.dtype not in (xp.float32, xp.float64):
        raise ValueError(f"parameters are {first.dtype}, expected float32 or float64")
    networks = tuple(first.shape[: -len(expected[0][key])])
    if networks and (mlp.own_batches or isinstance(mlp.ensemble, Networks)):
        raise ValueError(f"parameters have axes {networks}, expected none beside {mlp.ensemble!r}")
    for (name, array), shape in zip(named.items(), core_shapes, strict=True):
        if array.shape[-len(shape) :] != shape:
            raise ValueError(f"{name} has shape {tuple(array.shape)}, expected (…, {shape})")
        if array.shape[: -len(shape)] != networks:
            raise ValueError(
                f"{name} has shape {tuple(array.shape)}, expected {(*networks, *shape)}: the "
                "leading axes of the first parameter, one network for each place"
            )
        if array.dtype != first.dtype:
            raise ValueError(f"{name} is {array.dtype}, but the first parameter is {first.dtype}")
    return xp, networks


def check_buffers(mlp: LayeredNetwork, parameters: Parameters, buffers: Parameters) -> None:
    """Raise unless buffers are a list with a dict for each dict of the parameters.

    Raises
    ------
    TypeError
        If they are not; the arrays in them are checked later.
    """
    trees = (parameters, buffers)
    lists = all(isinstance(tree, Sequence) and len(tree) == len(mlp.buffers) for tree in trees)
    if not lists or not all(isinstance(layer, dict) for tree in trees for layer in tree):
        raise TypeError(
            f"buffers is {str(buffers)[:80]}, expected a list of {len(mlp.buffers)} dicts, beside "
            "as many of parameters: take both from mlp.split(mlp.initialize(seed=0, backend=...))"
        )


def check_inputs(
    mlp: LayeredNetwork, parameters: Parameters, x: Array, networks: tuple[int, ...]
) -> None:
    """Raise if x (…, batch, in) does not fit parameters that were checked.

    Raises
    ------
    ValueError, TypeError
        If it differs from them in library, device, dtype or shape.
    """
    w = first_array(parameters)
    if type(x) is not type(w) or device_of(x) != device_of(w):  # its checks cost microseconds
        arrays.common_namespace(x=x, parameters=w)
    if x.dtype != w.dtype:
        raise ValueError(
            f"x is {x.dtype}, but the parameters are {w.dtype}; convert it with xp.astype"
        )
    if x.ndim < 2 or x.shape[-1] != mlp.sizes[0] or x.shape[-2] < 1:
        raise ValueError(
            f"x has shape {tuple(x.shape)}, expected (batch, {mlp.sizes[0]}) with a batch of "
            "at least 1"
        )
    leading = x.shape[:-2]
    if leading and networks and leading != networks:
        raise ValueError(
            f"x has shape {tuple(x.shape)}, expected (batch, {mlp.sizes[0]}) or "
            f"({', '.join(map(str, networks))}, batch, {mlp.sizes[0]})"
        )


def checked_inputs(
    mlp: LayeredNetwork, parameters: Parameters, x: Array, arithmetic: str
) -> tuple[Namespace, Parameters, Array]:
    """Return the namespace of the arithmetic, with the arguments as its arrays, or raise."""
    library, networks = check_parameters(mlp, parameters)
    check_inputs(mlp, parameters, x, networks)
    xp = namespace_at(arithmetic, library, x)
    return xp, map_arrays(xp.asarray, parameters), xp.asarray(x)


def checked_batch(
    mlp: LayeredNetwork,
    parameters: Parameters,
    x: Array,
    targets: Array,
    sample_weight: Array | None,
    arithmetic: str,
) -> tuple[Namespace, tuple[Array, Array, Array | None]]:
    """Return the namespace of the arithmetic, and a batch of its arrays; raise if they do not fit.

    The arguments and the errors are those of `MLP.loss_and_gradients`.
    """
    library, networks = check_parameters(mlp, parameters)
    if mlp.own_batches:
        networks = (mlp.own_batches,)
    check_inputs(mlp, parameters, x, networks)
    targets = check_targets(mlp, x, targets, networks=networks)
    xp = namespace_at(arithmetic, library, x)
    if sample_weight is not None:
        check_sample_weight(x, sample_weight, networks=networks)
        sample_weight = xp.asarray(sample_weight)
    return xp, (xp.asarray(x), xp.asarray(targets), sample_weight)


def check_targets(
    mlp: LayeredNetwork,
    x: Array,
    targets: Array,
    dtype: DType | None = None,
    networks: tuple[int, ...] = (),
) -> Array:
    """Return targets as the loss takes them, or raise if they do not fit x or the loss.

    This reads a few numbers from the device; training, which must not wait for the device, checks
    all targets once beforehand.

    Parameters
    ----------
    mlp : MLP
    x : array (…, batch, in)
    targets : array
        For classes: integer or boolean indices (…, batch), or rows (…, batch, outputs), one-hot or
        of probabilities.  Else numbers or booleans (…, batch, outputs), or (…, batch) for one
        output.
    dtype, optional
        The dtype of floating targets; by default that of x.
    networks : tuple of int, optional
        The leading axes of the parameters.

    Returns
    -------
    array
        For classes: integer indices (…, batch), or rows (…, batch, outputs) of the dtype.  Else
        the targets themselves.

    Raises
    ------
    ValueError, TypeError
        The message names what came and what was expected.
    """
    xp = arrays.common_namespace(targets=targets, x=x)
    dtype = x.dtype if dtype is None else dtype
    if targets.ndim == x.ndim and targets.shape[-1] == 1 != mlp.sizes[-1]:  # a column of indices
        targets = targets[..., 0]
    batch, outputs = x.shape[-2], mlp.sizes[-1]
    checked = _as_kind(xp, mlp.objective.targets, targets, batch, outputs, dtype)
    _check_shape("targets have", checked, x, networks, (batch,), (batch, outputs))
    return checked


def _as_kind(
    xp: Namespace, kind: TargetKind, targets: Array, batch: int, outputs: int, dtype: DType
) -> Array:
    """Return targets as a loss of this kind takes them, or raise: see `check_targets`."""
    if kind == "classes":
        return _check_classes(xp, targets, batch, outputs, dtype)
    floating = xp.isdtype(targets.dtype, "real floating")
    single = outputs == 1 and targets.shape[-1:] == (batch,)
    if (floating and targets.dtype != dtype) or not (
        single or targets.shape[-2:] == (batch, outputs)
    ):
        shorter = f" or ({batch},)" if outputs == 1 else ""
        raise ValueError(
            f"targets are {targets.dtype} of shape {tuple(targets.shape)}, expected "
            f"{arrays.dtype_name(dtype)} or integers of shape (batch, outputs) = "
            f"({batch}, {outputs}){shorter}"
        )
    _check_range(kind, xp.astype(targets, dtype, copy=False))
    return targets


def _check_range(kind: TargetKind, targets: Array) -> None:
    """Raise if a number is not finite, or out of the range of its kind."""
    xp, targets = readable(targets)
    low, high = xp.min(targets), xp.max(targets)
    if device_of(low) is None:
        return
    low, high = float(low), float(high)
    least = -SMALLEST_NORMAL[type_name(xp, targets)]  # devices may take denormal numbers for 0
    if not bool(xp.all(xp.isfinite(targets))):
        raise ValueError("targets hold NaN or infinity, expected finite numbers")
    if kind == "labels" and not least < low <= high <= 1.0:
        raise ValueError(
            f"targets run from {low:g} to {high:g}, expected 0 for no, 1 for yes, or probabilities"
        )
    if kind == "counts" and low <= least:
        raise ValueError(f"targets run from {low:g}, expected counts or rates of at least 0")


def _check_classes(xp: Namespace, targets: Array, batch: int, classes: int, dtype: DType) -> Array:
    """Return class indices as integers, rows as numbers of the dtype; raise for anything else."""
    whole = xp.isdtype(targets.dtype, ("integral", "bool"))
    if targets.shape[-2:] == (batch, classes) and (whole or targets.dtype == dtype):
        rows = xp.astype(targets, dtype, copy=False)
        if _are_distributions(xp, rows):
            return rows
        # If networks, examples and classes are equally many, integers may be indices.
        if not whole or targets.shape[-1:] != (batch,):
            raise ValueError(
                "targets hold a row that is not a distribution over the classes, expected one-hot "
                "rows or probabilities: at least 0, each row summing to 1"
            )
    if not whole:
        raise ValueError(
            f"targets are {targets.dtype} of shape {tuple(targets.shape)}, expected integers "
            f"(batch,) = ({batch},), or rows (batch, classes) = ({batch}, {classes}) of "
            f"{arrays.dtype_name(dtype)} or integers"
        )
    if targets.shape[-1:] != (batch,):
        raise ValueError(
            f"targets have shape {tuple(targets.shape)}, expected ({batch},) as x has rows"
        )
    if xp.isdtype(targets.dtype, "bool"):
        targets = xp.astype(targets, xp.int64)
    xp, values = readable(targets)
    low, high = xp.min(values), xp.max(values)
    if device_of(low) is None:
        return targets
    low, high = int(low), int(high)
    if low < 0 or high >= classes:
        raise ValueError(
            f"targets run from {low} to {high}, expected 0 to {classes - 1}: "
            f"the network has {classes} outputs"
        )
    return targets


def _are_distributions(xp: Namespace, rows: Array) -> bool:
    """Return whether each row is at least 0 and sums to 1; NaN fails both comparisons.

    Rows without values are assumed to be distributions.
    """
    errors = xp.abs(xp.sum(rows, axis=-1) - 1.0)
    least = -SMALLEST_NORMAL[type_name(xp, rows)]  # devices may take denormal numbers for 0
    right = xp.all(rows > least) & xp.all(errors <= _ROW_SUM_TOLERANCE)
    return device_of(right) is None or bool(right)


def _check_shape(
    what: str, array: Array, x: Array, networks: tuple[int, ...], *shapes: tuple[int, ...]
) -> None:
    """Raise if an array has additional axes, or leading axes other than those of x or networks.

    Broadcasting would turn one network into several.
    """
    leading, allowed = x.shape[:-2] or networks, [*shapes]
    if leading:
        allowed += [(*leading, *shape) for shape in shapes]
    if tuple(array.shape) not in allowed:
        expected = " or ".join(map(str, allowed))
        raise ValueError(f"{what} shape {tuple(array.shape)}, expected {expected}")


def check_rng(rng: object) -> None:
    """Raise if the mode of a forward pass is neither `Rng` nor None.

    Raises
    ------
    TypeError, ValueError
        The message names what came and what was expected.
    """
    if rng is None:
        return
    if not isinstance(rng, Rng):
        raise TypeError(f"rng is {rng!r}, expected None or Rng(seed=0, t=0)")
    if isinstance(rng.seed, Real):  # else arrays in a function that is being compiled
        as_seed(rng.seed)
    if isinstance(rng.t, Real):
        convert("rng.t", rng.t, Count)


def check_sample_weight(
    x: Array,
    sample_weight: Array,
    dtype: DType | None = None,
    networks: tuple[int, ...] = (),
    name: str = "sample_weight",
) -> None:
    """Raise if sample_weight (…, batch) do not fit x (…, batch, in), or are invalid.

    The other arguments are those of `check_targets`; `name` is for errors.

    Raises
    ------
    ValueError, TypeError
        The message names what came and what was expected: finite numbers of at least 0, not all 0.
    """
    arrays.common_namespace(**{name: sample_weight, "x": x})
    dtype = x.dtype if dtype is None else dtype
    if sample_weight.dtype != dtype or sample_weight.shape[-1:] != (x.shape[-2],):
        raise ValueError(
            f"{name} is {sample_weight.dtype} of shape {tuple(sample_weight.shape)}, expected "
            f"{arrays.dtype_name(dtype)} of shape ({x.shape[-2]},), one for each example"
        )
    _check_shape(f"{name} has", sample_weight, x, networks, (x.shape[-2],))
    xp, sample_weight = readable(sample_weight)
    smallest = SMALLEST_NORMAL[type_name(xp, sample_weight)]  # devices may take less for 0
    usable = xp.all((sample_weight > -smallest) & xp.isfinite(sample_weight))
    if device_of(usable) is None:
        return
    if not bool(usable):
        raise ValueError(f"{name} holds negative numbers, NaN or infinity; expected at least 0")
    if not bool(xp.all(xp.any(sample_weight >= smallest, axis=-1))):
        raise ValueError(
            f"{name} is all 0 or below {smallest:.3g}, the smallest normal number of its "
            "dtype; expected at least one above, multiply it by a factor"
        )
    largest = float(xp.finfo(sample_weight.dtype).max) / x.shape[-2]
    if not bool(xp.all(sample_weight <= largest)):
        raise ValueError(
            f"{name} holds numbers above {largest:.3g}: their sum may be infinite; divide it by a "
            "factor"
        )
