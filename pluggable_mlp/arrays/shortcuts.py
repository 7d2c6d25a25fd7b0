"""Functions and checks of an array library beyond its array API namespace.

On a GPU, each operation is a kernel, which takes some microseconds to launch however little it
does.  array-api-compat composes CuPy's `clip` and `sign` from up to 26 kernels, waiting for the
device in between, and PyTorch's `take` from 4; the standard has no `erf`.  Some libraries have
process-wide settings that change results.  Backends register their library's functions here; those
below call them, or else a portable implementation.

The functions of networks and losses are in `special.py`, above the namespaces; these serve the
namespaces, too.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, TypeAlias, TypedDict, TypeVar, Unpack, cast

from pluggable_mlp.arrays import Array, Device, Namespace, array_namespace, device_of, library_of

__all__ = ["Offers", "offer"]

Function: TypeAlias = Callable[..., Any]
Item = TypeVar("Item")

_STANDARD = {"clip", "matmul", "sign", "sum", "vecdot", "zeros_like"}

_KEPT = {"backend_at", "check_process", "compiles_operations"}
_NOT_RECORDED = _KEPT | {"put", "standard_function", "updater"}

_offered: dict[tuple[Namespace, str], Any] = {}


class Offers(TypedDict, total=False):
    """Functions that a library has as one operation, or a backend does its own way; all optional.

    Without a description here, a function returns what that of the same name in this file, in
    `special.py` or in the standard does, and takes the same arguments without the namespace.
    """

    affine: Callable[..., Array]
    backend_at: Callable[[Device], Any]
    """(device): the backend on a device, as the library's arrays have it.

    It is asked for the backend's `Abilities`.  Within a function that JAX compiles, arrays have no
    device: None.
    """
    check_process: Callable[[], None]
    """(): raises if a setting of the process forbids right results."""
    clip: Callable[..., Array]
    compiles_operations: bool
    """True if the library compiles each operation, anew for each shape."""
    elu: Callable[[Array, float, float], tuple[Array, Function]]
    """(x, alpha, scale): results of `ELU(alpha)` times the scale, see `network/activations.py`."""
    entries: Callable[..., Array]
    erf: Callable[..., Array]
    """(x): the error function, within 8 units in the last place."""
    expm1: Callable[..., Array]
    gelu: Callable[[Array], tuple[Array, Function]]
    """(x): results of `gelu`."""
    in_one_kernel: Function
    leaky_relu: Callable[[Array, float], tuple[Array, Function]]
    """(x, slope): results of `LeakyReLU(slope)`."""
    matmul: Callable[..., Array]
    mean: Callable[..., Array]
    philox_halves: Callable[..., Array]
    """(blocks, address, key, constants): the numbers of `network/philox.py` (…, 8 n), integers.

    They are for the n counters (block, *address), with the blocks of range(*blocks) and three words
    of address.  Words may be traced, and those of the key arrays (…, 1).  The constants are the
    multipliers, the steps of the key, and the number of rounds.
    """
    relu: Callable[[Array], tuple[Array, Function]]
    """(x): results of `relu`."""
    rows_from: Callable[..., Array]
    """(x, start, size): rows from a start on, which may be traced."""
    rsqrt: Callable[..., Array]
    sigmoid: Callable[..., Array]
    sign: Callable[..., Array]
    softmax: Callable[..., Array]
    standard_function: Callable[[str], Function]
    """(name): the function as the standard has it, where that of `xp` differs."""
    sum: Callable[..., Array]
    sum_of_squares: Callable[[Array], float]
    """(x): over all elements; infinity where it overflows, or would take longer than extremes."""
    take_rows: Callable[..., Array]
    times_transposed: Callable[..., Array]
    transposed_times: Callable[..., Array]
    tree_sum: Callable[..., Array]
    """(halved, x, axis): what halved(xp, x, axis) gives, see `reproducible/sums.py`."""
    updater: Callable[[Array], Function | None]
    """(w): how parameters on the device of `w` are updated in one training, or None.

    It is a function (rule, parameters, gradients, *slots, in_place) -> (parameters, *slots), all of
    them sequences of arrays.  It may overwrite the gradients; `in_place` says whether also the
    parameters and slots: it may then return None instead, else the results are new arrays.  `rule`
    is a `Rule` of `training/optimizer.py`, the update of one array.  It is meant for libraries that
    have an optimizer as one operation, or are quicker with other sizes than those of the
    parameters.
    """
    vecdot: Callable[..., Array]
    where_positive: Callable[..., Array]
    zero_below: Callable[..., Array]
    zeros_like: Callable[..., Array]


def offer(xp: Namespace, **functions: Unpack[Offers]) -> None:
    """Register the `Offers` of the library behind a namespace."""
    _offered.update({(xp, name): function for name, function in functions.items()})


@contextmanager
def recorded_offers(
    ns: Namespace, library: Namespace, recorded: Callable[[Function], Function]
) -> Iterator[None]:
    """Offer a library's functions, recorded, as those of a namespace over it."""
    offers = {name: value for (xp, name), value in [*_offered.items()] if xp is library}
    functions = {name: recorded(offers[name]) for name in offers.keys() - _NOT_RECORDED}
    kept = {name: offers[name] for name in offers.keys() & _KEPT}
    find = offers.get("standard_function")
    if find is not None:
        functions["standard_function"] = lambda name: recorded(find(name))
    own_keys = {(ns, name): value for name, value in {**functions, **kept}.items()}
    _offered.update(own_keys)
    try:
        yield
    finally:
        for key in own_keys:
            del _offered[key]


def load_offers(xp: Namespace) -> None:
    """Import the backend of the library behind `xp`, which registers its functions.

    Correct results depend on some of them, even for arrays that no backend made.
    """
    name = f"pluggable_mlp.backends.{library_of(xp)}"
    if name not in sys.modules and find_spec(name) is not None:
        import_module(name)


def standard_function(xp: Namespace, name: str) -> Function:
    """Return the standard's function of that name, with all keywords."""
    lookup = own(xp, "standard_function") or partial(getattr, xp)
    return lookup(name)


def own(xp: Namespace, name: str) -> Any:
    """Return the function of that name that a backend offers, or the namespace's, or None.

    Beyond the standard, a library's function of the same name may do something else, such as
    `torch.softmax`, which requires an axis.  Those are taken only from this project's namespaces,
    which list them in `beyond_standard`.
    """
    function = _offered.get((xp, name))
    others = () if isinstance(xp, ModuleType) else getattr(xp, "beyond_standard", ())
    if function is None and (name in _STANDARD or name in others):
        function = getattr(xp, name)
    return function


def check_process(xp: Namespace) -> None:
    """Raise if a setting of the process prevents correct results; called before each computation.

    Other code may have changed it since a backend or an array was made.

    Raises
    ------
    BackendUnavailable
        The message names the setting, its value and how to set it.
    """
    if check := own(xp, "check_process"):
        check()


def backend_at(xp: Namespace, device: Device = None) -> Any:
    """Return a library's backend for the device of an array, or None."""
    function = own(xp, "backend_at")
    return None if function is None else function(device)


def in_one_kernel(xp: Namespace, function: Function, *operands: Any) -> Any:
    """Return function(xp, *operands), elementwise, in one kernel if the library can.

    Parameters
    ----------
    xp : namespace
    function : callable
        Defined in a module; each element of its results depends on one element of each operand.
    *operands
        Arrays, of shapes that broadcast, and numbers.
    """
    at_once = own(xp, "in_one_kernel")
    return function(xp, *operands) if at_once is None else at_once(function, *operands)


def rows_from(xp: Namespace, x: Array, start: int | Array, size: int) -> Array:
    """Return `size` rows of `x` (n, …) from `start` on, at most n - size: a number or 0-d array."""
    function = own(xp, "rows_from")
    return x[start : start + size, ...] if function is None else function(x, start, size)


def backend_context(backend: object) -> AbstractContextManager[object]:
    """Return `Abilities.context` of a backend, which may lack it."""
    context = getattr(backend, "context", nullcontext)
    return cast("AbstractContextManager[object]", context())


def array_context(x: object) -> AbstractContextManager[object]:
    """Return the context of the backend of `x`; an empty one if `x` is not an array."""
    try:
        xp = array_namespace(x)
    except TypeError:
        return nullcontext()
    load_offers(xp)
    return backend_context(backend_at(xp, device_of(x)))


def in_context(
    context: Callable[[], AbstractContextManager[object]], work: Iterator[Item]
) -> Iterator[Item]:
    """Yield from a generator that works in a new context each time, left while it is suspended."""
    while True:
        with context():
            try:
                item = next(work)
            except StopIteration:
                return
        yield item


def clip(xp: Namespace, x: Array, low: float, high: float) -> Array:
    """Return `x` (floats, any shape) no smaller than `low` and no larger than `high`; NaN stays."""
    return own(xp, "clip")(x, low, high)


def sign(xp: Namespace, x: Array) -> Array:
    """Return -1, 0 or 1 for each element of `x` (floats, any shape); NaN stays."""
    return own(xp, "sign")(x)


def zero_below(xp: Namespace, x: Array, threshold: float) -> Array:
    """Return `x` (floats, any shape) with +0 for magnitudes below `threshold`, and for -0."""
    function = own(xp, "zero_below")
    if function is not None:
        return function(x, threshold)
    # A product with 0 or 1 costs the same for every pattern of zeros, where xp.where on NumPy
    # slows down several times when the pattern cannot be predicted (as after relu).
    flushed = xp.astype(xp.abs(x) >= threshold, x.dtype)
    flushed *= x
    flushed += 0.0
    return flushed


def take_rows(xp: Namespace, x: Array, indices: Array) -> Array:
    """Return the rows of `x` (n, …) at the indices (m,), which are at least 0 and less than n."""
    function = own(xp, "take_rows")
    return xp.take(x, indices, axis=0) if function is None else function(x, indices)


def entries(xp: Namespace, table: Array, indices: Array) -> Array:
    """Return the entries of a table (n,) at the indices (any shape), from 0 to n - 1."""
    function = own(xp, "entries")
    if function is not None:
        return function(table, indices)
    return xp.reshape(take_rows(xp, table, xp.reshape(indices, (-1,))), indices.shape)


def vecdot(xp: Namespace, x: Array, y: Array) -> Array:
    """Return the sums of x y along the last axis, for `x` and `y` (…, n)."""
    return own(xp, "vecdot")(x, y)
