"""Checks of what a backend consists of: its members, devices, and optional abilities."""

import inspect
import operator
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array, Namespace, device_of
from pluggable_mlp.backends import (
    Backend,
    BackendUnavailable,
    Compiler,
    MemoryReporter,
    Queued,
    TaskRunner,
)
from pluggable_mlp.testing.checks import Grade, NotOffered, check, expect

OPTIONAL = {
    "compile": Compiler,
    "queued": Queued,
    "run_all": TaskRunner,
    "out_of_memory": MemoryReporter,
}
"""The optional members, and the protocol of each."""
_MEMBERS = frozenset(name for name in vars(Backend) if not name.startswith("_"))


def _signature(method: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
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
    if others := sorted(public - _MEMBERS - set(OPTIONAL)):
        expect(False, f"{', '.join(others)}: the contract has no such members; begin with _")
    for name in sorted(public - {"name", "device", "xp", "queued"}):
        expected = _signature(getattr(OPTIONAL.get(name, Backend), name))
        found = _signature(getattr(backend, name))
        expect(found == expected, f"{name} takes {found}, expected {expected}")


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
    x = backend.asarray([[1.0, 2.0], [3.0, 4.0]])
    place = device_of(x)
    results = {
        "asarray of a NumPy array": backend.asarray(np.ones(2)),
        "asarray with a dtype": backend.asarray(x, dtype="float32"),
        "a product": x @ x,
        "a sum": xp.sum(x),
        "astype": xp.astype(x, xp.int32),
        "where": xp.where(x > 2.0, x, -x),
        "zeros_like": xp.zeros_like(x),
        "a row": x[0, :],
    }
    for name, array in results.items():
        found = device_of(array)
        expect(found == place, f"{name} is on {found}, but arrays of lists are on {place}")


@check(Grade.RUNS)
def other_devices(backend: Backend) -> None:
    """Arrays of its other devices are elsewhere, and are refused with a ValueError."""
    others = list(_on_other_devices(backend))
    if not others:
        raise NotOffered("there is one device")
    here = device_of(backend.asarray([1.0]))
    for other in others:
        array = other.asarray([1.0])
        expect(
            device_of(array) != here,
            f"arrays of {other.device} and of {backend.device} are both on {here}",
        )
        for take in (backend.asarray, backend.to_numpy):
            _expect_error(ValueError, f"an array on {other.device}", take, array)


def _on_other_devices(backend: Backend) -> Iterator[Backend]:
    """Yield the backend on two of its other devices."""
    for device in [each for each in type(backend).devices() if each != backend.device][:2]:
        try:
            yield type(backend)(device)
        except BackendUnavailable:  # a device that others use
            continue


@check(Grade.RUNS)
def data_of_others(backend: Backend) -> None:
    """What is not host data, and arrays of other libraries, are refused, not converted."""
    others: tuple[object, ...] = (
        *("abc", None, {1: 2}, [[1.0], ["a"]]),
        np.asarray([None]),
        _OtherLibrary(),
    )
    for data in others:
        _expect_error(TypeError, f"data {data!r}", backend.asarray, data)
    ragged: tuple[object, ...] = ([[1, 2], [3]], [[1.0], 2.0])
    for data in ragged:
        _expect_error(ValueError, f"data {data!r}", backend.asarray, data)
    _expect_error(ValueError, "300 as uint8", lambda data: backend.asarray(data, "uint8"), [300])
    for what, x in {"a list": [1.0], "its own array": backend.asarray([1.0])}.items():
        take = partial(backend.asarray, dtype="float33")
        _expect_error(ValueError, f"dtype 'float33' of {what}", take, x)
    _expect_error(TypeError, "to_numpy of another library's array", backend.to_numpy, [1.0])


class _OtherLibrary:
    """An array that NumPy would convert."""

    def __array__(self, dtype: object = None, copy: object = None) -> Array:
        return np.ones(2)


def _expect_error(
    kind: type[Exception], what: str, function: Callable[[Any], Any], argument: Any
) -> None:
    try:
        function(argument)
    except kind:
        return
    except Exception as error:  # whatever a backend raises
        expect(False, f"{what} raised {error!r}, expected a {kind.__name__}")
    expect(False, f"{what} was accepted, expected a {kind.__name__}")


def _of_trees(xp: Namespace, tree: Any, factor: Any, nothing: None) -> Any:
    """Take and return trees; a backend may compile functions of this package alone."""
    (x, y), n = tree["pair"], tree["n"]
    return {"sum": [x + y * factor, (nothing,)], "power": x * n}


@check(Grade.RUNS)
def compiled_functions(backend: Backend) -> None:
    """`compile` returns a function with the same results, for other numbers at each call."""
    compiler = _offered(backend, Compiler)
    function = partial(_of_trees, backend.xp)
    ways = {exact: compiler.compile(function, exact=exact) for exact in (False, True)}
    if not any(ways.values()):
        raise NotOffered("it compiles nothing")
    for exact, compiled in ways.items():
        for n in (1, 2, 3) if compiled is not None else ():
            x, y = (backend.asarray([1.0, n], dtype="float32") for _ in range(2))
            result = compiled({"pair": (x, y), "n": n}, 0.5 * n, None)
            added, (nothing,) = result["sum"]
            expect(nothing is None, f"None came back as {nothing!r}")
            for array, expected in (
                (added, [1 + 0.5 * n, n + 0.5 * n**2]),
                (result["power"], [n, n**2]),
            ):
                found = backend.to_numpy(array)
                expect(
                    found.dtype == np.float32 and found.tolist() == expected,
                    f"call {n}, exact={exact}: {found.tolist()} of {found.dtype}, "
                    f"expected {expected} of float32",
                )


def _of_calls(xp: Namespace, carry: Any, index: Any, row: Any, shared: Any) -> Any:
    """Return powers as carry, and their sums."""
    (power,), (x,) = carry, shared
    return (power * x,), {"sum": xp.sum(power) + row["n"], "index": index + row["n"]}


@check(Grade.RUNS)
def compiled_loops(backend: Backend) -> None:
    """`compile` with `most` gives what the function gives call by call, for any count."""
    loop = _offered(backend, Compiler).compile(partial(_of_calls, backend.xp), most=4)
    if loop is None:
        raise NotOffered("it combines no calls")
    x = backend.asarray([2.0, 3.0], dtype="float64")
    for count in (1, 3, 4):
        first = (backend.asarray([1.0, 1.0], dtype="float64"),)
        rows = {"n": [n + 0.5 for n in range(count)]}
        (power,), results = loop(first, rows, (x,), count)
        expected = {
            "carry": (power, [2.0**count, 3.0**count]),
            "results": (results["sum"][:count], [2.0**n + 3.0**n + n + 0.5 for n in range(count)]),
            "indices": (results["index"][:count], [2 * n + 0.5 for n in range(count)]),
        }
        for name, (array, values) in expected.items():
            found = backend.to_numpy(array).tolist()
            expect(found == values, f"{name} of {count} calls: {found}, expected {values}")


@check(Grade.RUNS)
def tasks(backend: Backend) -> None:
    """`run_all` returns the results in the order of the items."""
    runner = _offered(backend, TaskRunner)
    found = runner.run_all(operator.neg, range(100))
    expect(found == [-n for n in range(100)], f"run_all returned {found[:5]} …")


@check(Grade.RUNS)
def queue(backend: Backend) -> None:
    """`queued` is a boolean."""
    queued = _offered(backend, Queued).queued
    expect(isinstance(queued, bool), f"queued is {queued!r}, expected a boolean")


@check(Grade.RUNS)
def errors_of_memory(backend: Backend) -> None:
    """`out_of_memory` does not take other errors for a lack of memory."""
    reporter = _offered(backend, MemoryReporter)
    for error in (ValueError("out of range"), RuntimeError("no"), KeyError("memory")):
        found = reporter.out_of_memory(error)
        expect(found is None, f"out_of_memory({error!r}) returned {found!r}, expected None")


def _offered(backend: Backend, protocol: Any) -> Any:
    """Return the backend if it has the members of an optional protocol."""
    if not isinstance(backend, protocol):
        raise NotOffered(f"it is not a {protocol.__name__}")
    return backend
