"""The network's door: what comes in is checked here once, and inside code trusts its callers.

Shapes: parameters are a list with one dict {"W": (…, in, out), "b": (…, out)} a dense layer;
x is (…, batch, in); labels are integers (…, batch) or rows (…, batch, classes).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pluggable_mlp.arrays import Array, Namespace, common_namespace

if TYPE_CHECKING:
    from pluggable_mlp.network.mlp import MLP, Parameters

__all__ = ["check_inputs", "check_labels", "check_parameters", "check_sizes"]


def check_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the layers' widths as a tuple of at least two positive integers, or raise."""
    checked = tuple(sizes)
    if len(checked) < 2 or not all(isinstance(n, int) and n >= 1 for n in checked):
        raise ValueError(
            f"sizes is {sizes!r}, expected at least two positive integers: "
            "the inputs, the hidden layers' widths, the outputs"
        )
    return checked


def check_parameters(mlp: "MLP", parameters: "Parameters") -> Namespace:
    """Return the parameters' namespace; raise where their structure or dtypes do not fit.

    Raises
    ------
    ValueError
        If a layer is missing or left over, or a name, shape or dtype is wrong.
    TypeError
        If a parameter is no array, or two are of different libraries.
    """
    expected = [layer.shapes() for layer in mlp.layers if layer.shapes()]
    if len(parameters) != len(expected):
        raise ValueError(
            f"parameters has {len(parameters)} layers, expected {len(expected)} for {mlp.sizes}"
        )
    named = {}
    for index, (shapes, layer) in enumerate(zip(expected, parameters, strict=True)):
        if set(layer) != set(shapes):
            raise ValueError(
                f"parameters[{index}] holds {sorted(layer)}, expected {sorted(shapes)}"
            )
        for name, shape in shapes.items():
            named[f"parameters[{index}][{name!r}]"] = (layer[name], shape)
    xp = common_namespace(**{name: array for name, (array, _) in named.items()})
    dtype = parameters[0]["W"].dtype
    if dtype not in (xp.float32, xp.float64):
        raise ValueError(f"parameters are {dtype}, expected float32 or float64")
    for name, (array, shape) in named.items():
        if array.shape[-len(shape) :] != shape:
            raise ValueError(f"{name} has shape {array.shape}, expected (…, {shape})")
        if array.dtype != dtype:
            raise ValueError(f"{name} is {array.dtype}, but the first parameter is {dtype}")
    return xp


def check_inputs(mlp: "MLP", parameters: "Parameters", x: Array) -> Namespace:
    """Return the common namespace of x (…, batch, in) and the parameters, or raise.

    Raises
    ------
    ValueError, TypeError
        As `check_parameters`, and if x does not fit them in library, device, dtype or shape.
    """
    xp = check_parameters(mlp, parameters)
    W = parameters[0]["W"]
    common_namespace(x=x, parameters=W)
    if x.dtype != W.dtype:
        raise ValueError(
            f"x is {x.dtype}, but the parameters are {W.dtype}; convert it with xp.astype"
        )
    if x.ndim < 2 or x.shape[-1] != mlp.sizes[0] or x.shape[-2] < 1:
        raise ValueError(
            f"x has shape {x.shape}, expected (batch, {mlp.sizes[0]}) with a batch of at least 1"
        )
    return xp


def check_labels(mlp: "MLP", x: Array, labels: Array) -> None:
    """Raise where labels do not fit x (…, batch, in): library, device, dtype, shape, range.

    Reads two numbers from the device: the training loop, which must not wait for it, checks
    its labels on the host instead.

    Raises
    ------
    ValueError, TypeError
        Naming what came and what was expected.
    """
    xp = common_namespace(labels=labels, x=x)
    batch, classes = x.shape[-2], mlp.sizes[-1]
    if labels.shape[-2:] == (batch, classes) and labels.dtype == x.dtype:
        return
    if not xp.isdtype(labels.dtype, "integral"):
        raise ValueError(
            f"labels are {labels.dtype} of shape {labels.shape}, expected integers (batch,) = "
            f"({batch},), or rows (batch, classes) = ({batch}, {classes}) of {x.dtype}"
        )
    if labels.shape[-1:] != (batch,):
        raise ValueError(f"labels have shape {labels.shape}, expected ({batch},) as x has rows")
    low, high = int(xp.min(labels)), int(xp.max(labels))
    if low < 0 or high >= classes:
        raise ValueError(
            f"labels run from {low} to {high}, expected 0 to {classes - 1}: "
            f"the network has {classes} outputs"
        )
