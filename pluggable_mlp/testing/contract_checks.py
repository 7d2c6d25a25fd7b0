"""Checks of the parts of a backend: its members, its devices, and transfers to it and back.

Data come back with all of their bits, and nothing is converted without a request.
"""

import inspect
import operator
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from pluggable_mlp.arrays import Array, Namespace, array_namespace, device_of, dtype_name
from pluggable_mlp.arrays.shortcuts import backend_context
from pluggable_mlp.backends import Abilities, Backend, BackendUnavailable
from pluggable_mlp.backends.tape import Tree
from pluggable_mlp.backends.transfer import DTYPES, HostArray
from pluggable_mlp.testing.conformance import (
    Grade,
    NotOffered,
    ability,
    check,
    expect,
    expect_bits,
    floats,
)

_MEMBERS = frozenset(name for name in vars(Backend) if not name.startswith("_"))
_OPTIONAL = frozenset(name for name in vars(Abilities) if not name.startswith("_"))


def _signature(method: Callable[..., object]) -> list[tuple[object, ...]]:
    """Return names, kinds and defaults of the parameters that a caller sees."""
    parameters = inspect.signature(method).parameters.values()
    return [(p.name, p.kind, p.default) for p in parameters if p.name != "self"]


@check(Grade.RUNS)
def members(backend: Backend) -> None:
    """It has the members of the contract, with their signatures, and no other public ones."""
    names = (name for name in dir(backend) if not name.startswith("_"))
    public = {name for name in names if getattr(backend, name) is not None}
    if lacking := sorted(_MEMBERS - public):
        expect(False, f"it lacks {', '.join(lacking)}")
    if unknown := sorted(public - _MEMBERS - _OPTIONAL):
        expect(False, f"{', '.join(unknown)}: the contract has no such members; begin with _")
    for name in sorted(public - {"name", "device", "xp", "missing_dtypes", "queued", "traces"}):
        expected = _signature(getattr(Abilities if name in _OPTIONAL else Backend, name))
        actual = _signature(getattr(backend, name))
        expect(actual == expected, f"{name} takes {actual}, expected {expected}")


@check(Grade.RUNS)
def description(backend: Backend) -> None:
    """Its name, device and versions are texts, and the device is one of its devices."""
    for text in (backend.name, backend.device):
        expect(isinstance(text, str) and bool(text), f"{text!r} is not a text")
    devices = type(backend).devices()
    expect(backend.device in devices, f"device is {backend.device!r}, not one of {devices}")
    versions = backend.versions()
    texts = [*versions, *versions.values()]
    expect(
        bool(texts) and all(isinstance(text, str) and text for text in texts),
        f"versions() returned {versions!r}, expected at least one name and version",
    )
    backend.synchronize()


@check(Grade.RUNS)
def unknown_device(backend: Backend) -> None:
    """A device that the library cannot have, or has not on this machine, is refused."""
    try:
        type(backend)("no such device")
    except (ValueError, BackendUnavailable):
        return
    expect(False, "the device 'no such device' was accepted, expected a ValueError")


@check(Grade.RUNS)
def one_device(backend: Backend) -> None:
    """Whatever it makes and computes is on its device."""
    xp = backend.xp
    x = backend.asarray([[1.0, 2.0], [3.0, 4.0]], dtype="float32")
    place = device_of(x)
    results = {
        "asarray of a NumPy array": backend.asarray(np.ones(2, np.float32)),
        "asarray with a dtype": backend.asarray(x, dtype="float32"),
        "a product": x @ x,
        "a sum": xp.sum(x),
        "astype": xp.astype(x, xp.int32),
        "where": xp.where(x > 2.0, x, -x),
        "zeros_like": xp.zeros_like(x),
        "a row": x[0, :],
    }
    for name, array in results.items():
        actual = device_of(array)
        expect(actual == place, f"{name} is on {actual}, but arrays of lists are on {place}")


@check(Grade.RUNS, in_context=False)
def context(backend: Backend) -> None:
    """Its arrays have all dtypes in its context, and without it the library's defaults stay."""
    before = _defaults(backend)
    type(backend)(backend.device)
    widest = floats(backend)[-1]
    array = backend.asarray(np.ones(2, widest))
    backend.to_numpy(array)
    backend.synchronize()
    with backend_context(backend), backend_context(backend):
        kept = (array + array).dtype
        expected = getattr(backend.xp, widest.__name__)
        expect(kept == expected, f"in its context, a sum of {expected} is {kept}")
    after = _defaults(backend)
    expect(after == before, f"zeros(1) was {before}, and is {after} once a backend was used")


def _defaults(backend: Backend) -> str:
    zeros = backend.xp.zeros(1)
    return f"{dtype_name(zeros.dtype)} on {device_of(zeros)}"


@check(Grade.RUNS)
def other_devices(backend: Backend) -> None:
    """Arrays of its other devices are elsewhere, and are refused with a ValueError."""
    elsewhere = list(_on_other_devices(backend))
    if not elsewhere:
        raise NotOffered("there is one device")
    device = device_of(backend.asarray([1]))
    for other in elsewhere:
        array = other.asarray([1])
        expect(
            device_of(array) != device,
            f"arrays of {other.device} and of {backend.device} are both on {device}",
        )
        for take in (backend.asarray, backend.to_numpy):
            _expect_error(ValueError, f"an array on {other.device}", take, array)


def _on_other_devices(backend: Backend) -> Iterator[Backend]:
    """Yield the backend on two of its other devices."""
    for device in [device for device in type(backend).devices() if device != backend.device][:2]:
        try:
            yield type(backend)(device)
        except BackendUnavailable:  # a device that others use
            continue


@check(Grade.RUNS)
def data_of_others(backend: Backend) -> None:
    """What is not host data, and arrays of other libraries, are refused, not converted."""
    foreign: tuple[object, ...] = (
        *("abc", None, {1: 2}, [[1.0], ["a"]]),
        np.asarray([None]),
        _OtherLibrary(),
    )
    for data in foreign:
        _expect_error(TypeError, f"data {data!r}", backend.asarray, data)
    ragged: tuple[object, ...] = ([[1, 2], [3]], [[1.0], 2.0])
    for data in ragged:
        _expect_error(ValueError, f"data {data!r}", backend.asarray, data)
    _expect_error(ValueError, "300 as uint8", lambda data: backend.asarray(data, "uint8"), [300])
    for what, x in {"a list": [1.0], "its own array": backend.asarray([1])}.items():
        take = partial(backend.asarray, dtype="float33")
        _expect_error(ValueError, f"dtype 'float33' of {what}", take, x)
    _expect_error(TypeError, "to_numpy of another library's array", backend.to_numpy, [1.0])


class _OtherLibrary:
    """An array that NumPy would convert."""

    def __array__(self, dtype: object = None, copy: object = None) -> Array:
        return np.ones(2)


def _expect_error(
    kind: type[Exception], what: str, function: Callable[..., object], argument: object
) -> None:
    try:
        function(argument)
    except kind:
        return
    except Exception as error:  # whatever a backend raises
        expect(False, f"{what} raised {error!r}, expected a {kind.__name__}")
    expect(False, f"{what} was accepted, expected a {kind.__name__}")


def _of_trees(xp: Namespace, tree: Tree, factor: Array, nothing: None) -> Tree:
    """Take and return trees; a backend may compile only functions of this package."""
    (x, y), n = tree["pair"], tree["n"]
    return {"sum": [x + y * factor, (nothing,)], "power": x * n}


@check(Grade.RUNS)
def compiled_functions(backend: Backend) -> None:
    """`compile` returns a function with the same results, for other numbers at each call."""
    compile_function = ability(backend, "compile")
    function = partial(_of_trees, backend.xp)
    ways = {exact: compile_function(function, exact=exact) for exact in (False, True)}
    if not any(ways.values()):
        raise NotOffered("it compiles nothing")
    for exact, compiled in ways.items():
        for n in (1, 2, 3) if compiled is not None else ():
            x, y = (backend.asarray([1.0, n], dtype="float32") for _ in range(2))
            result = compiled({"pair": (x, y), "n": n}, 0.5 * n, None)
            added, (nothing,) = result["sum"]
            expect(nothing is None, f"None came back as {nothing!r}")
            expected = {"sum": [1 + 0.5 * n, n + 0.5 * n**2], "power": [n, n**2]}
            for name, array in {"sum": added, "power": result["power"]}.items():
                what = f"{name} of call {n}, exact={exact}"
                expect_bits(what, backend.to_numpy(array), np.asarray(expected[name], "float32"))


def _of_calls(xp: Namespace, carry: Tree, index: Array, row: Tree, shared: Tree) -> Tree:
    """Return powers as the carry, and their sums."""
    (power,), (x,) = carry, shared
    return (power * x,), {"sum": xp.sum(power) + row["n"], "index": index + row["n"]}


@check(Grade.RUNS)
def compiled_loops(backend: Backend) -> None:
    """`compile` with `most` gives what the function gives call by call, for any count."""
    loop = ability(backend, "compile")(partial(_of_calls, backend.xp), most=4)
    if loop is None:
        raise NotOffered("it combines no calls")
    x = np.asarray([2.0, 3.0])  # not moved yet, as it may be
    for count in (1, 3, 4):
        first = (backend.asarray([1.0, 1.0], dtype="float64"),)
        rows = {"n": [n + 0.5 for n in range(count)]}
        (power,), results = loop(first, rows, (x,), count)
        expected = {
            "first carry": (first[0], [1.0, 1.0]),
            "carry": (power, [2.0**count, 3.0**count]),
            "results": (results["sum"][:count], [2.0**n + 3.0**n + n + 0.5 for n in range(count)]),
            "indices": (results["index"][:count], [2 * n + 0.5 for n in range(count)]),
        }
        for name, (array, values) in expected.items():
            expect_bits(f"{name} of {count} calls", backend.to_numpy(array), np.asarray(values))


@check(Grade.RUNS)
def tasks(backend: Backend) -> None:
    """`run_all` returns the results in the order of the items."""
    results = ability(backend, "run_all")(operator.neg, range(100))
    expect(results == [-n for n in range(100)], f"run_all returned {results[:5]} …")


@check(Grade.RUNS)
def queue(backend: Backend) -> None:
    """`queued` is a boolean."""
    queued = ability(backend, "queued")
    expect(isinstance(queued, bool), f"queued is {queued!r}, expected a boolean")


@check(Grade.RUNS)
def errors_of_memory(backend: Backend) -> None:
    """`out_of_memory` does not take other errors for a lack of memory."""
    report = ability(backend, "out_of_memory")
    for error in (ValueError("out of range"), RuntimeError("no"), KeyError("memory")):
        message = report(error)
        expect(message is None, f"out_of_memory({error!r}) returned {message!r}, expected None")


# Transfer: nothing is lost, nothing converted


def _expect_return(backend: Backend, *hosts: HostArray) -> None:
    """Expect that arrays come back with their shapes, dtypes and all of their bits."""
    for host in hosts:
        native = host.astype(host.dtype.newbyteorder("="))
        what = f"to_numpy of an array of {host.dtype} with strides {host.strides}"
        expect_bits(what, backend.to_numpy(backend.asarray(host)), native)


@check(Grade.RUNS)
def transfer_of_dtypes(backend: Backend) -> None:
    """Arrays of every dtype of the standard come back bit for bit, and are of its namespace."""
    for dtype in sorted({*DTYPES} - {*getattr(backend, "missing_dtypes", ())}):
        host = (np.arange(64) % 2).astype(dtype).reshape(8, 8)
        _expect_return(backend, host)
        array = backend.asarray(host)
        xp = array_namespace(array)
        expect(xp is backend.xp, f"arrays have the namespace {xp}, and xp is {backend.xp}")
        expect(array.dtype == getattr(backend.xp, dtype), f"an array of {dtype} has {array.dtype}")
    _expect_return(backend, np.asarray([2**63 - 1, -(2**63), 2**32 + 1]))


@check(Grade.RUNS)
def transfer_of_zeros_and_infinities(backend: Backend) -> None:
    """Infinities, zeros of both signs and the largest numbers come back bit for bit."""
    for dtype in floats(backend):
        info = np.finfo(dtype)
        host = [0.0, -0.0, np.inf, -np.inf, info.max, info.min, 1 / 3]
        _expect_return(backend, np.asarray(host, dtype))


@check(Grade.RUNS)
def transfer_of_denormal_numbers(backend: Backend) -> None:
    """Denormal numbers come back bit for bit: they are not flushed to zero."""
    for dtype in floats(backend):
        info = np.finfo(dtype)
        host = [info.tiny, info.tiny / 2, -info.tiny / 4, info.smallest_subnormal]
        _expect_return(backend, np.asarray(host, dtype))


@check(Grade.RUNS)
def transfer_of_nan(backend: Backend) -> None:
    """NaN comes back, of any sign and payload."""
    single = np.asarray([0x7FC00000, 0xFFC00001], np.uint32).view(np.float32)
    double = np.asarray([0x7FF8 << 48, (0xFFF8 << 48) + 7], np.uint64).view(np.float64)
    _expect_return(backend, *(x for x in (single, double) if x.dtype.type in floats(backend)))


@check(Grade.RUNS)
def transfer_of_layouts(backend: Backend) -> None:
    """Host data may have any strides, sizes and byte order, and be read-only."""
    dtype = floats(backend)[-1]
    x, read_only = np.arange(12, dtype=dtype).reshape(3, 4), np.arange(3, dtype=dtype)
    read_only.flags.writeable = False
    whole = x[::-1, ::-1], x.T, x.astype(np.dtype(dtype).newbyteorder(">")), read_only
    _expect_return(backend, *whole, x[::2, 1:], x[:0], x[1:2, 2:3].reshape(()))


@check(Grade.RUNS)
def transfer_of_lists(backend: Backend) -> None:
    """Numbers and nested lists get the dtype that NumPy gives them, or the one asked for."""
    cases: tuple[object, ...] = ([[1, 2], [3, 4]], [1.5, 2], (True, False), 3, 2.5, [[]])
    for data in cases:
        host = np.asarray(data)
        if host.dtype.kind != "f" or host.dtype.type in floats(backend):
            expect_bits(repr(data), backend.to_numpy(backend.asarray(data)), host)
    actual = backend.to_numpy(backend.asarray([1, 2], dtype="float32"))
    expect_bits("[1, 2] as float32", actual, np.asarray([1, 2], "float32"))


@check(Grade.RUNS)
def own_arrays_without_copies(backend: Backend) -> None:
    """`asarray` returns its own arrays without a copy."""
    array = backend.asarray([1.0, 2.0], dtype="float32")
    for again in (backend.asarray(array), backend.asarray(array, dtype="float32")):
        shared = again is array or (
            isinstance(array, np.ndarray) and np.shares_memory(again, array)
        )
        expect(shared, "asarray of an array of its own returned a copy")


@check(Grade.RUNS)
def copies_are_independent(backend: Backend) -> None:
    """Where the standard promises a copy, a change of it does not change the array."""
    xp = backend.xp
    copies: dict[str, Callable[[Array], Array]] = {
        "astype(x, x.dtype)": lambda x: xp.astype(x, x.dtype),
        "asarray(x, copy=True)": lambda x: xp.asarray(x, copy=True),
    }
    for name, make in copies.items():
        x = xp.zeros_like(backend.asarray([1.0, 2.0], dtype="float32"))
        copy = make(x)
        copy += 1.0
        values = backend.to_numpy(x).tolist()
        expect(values == [0.0, 0.0], f"{name} returned a view: x changed with it, to {values}")
