"""The contract by reflection: every backend offers its names and signatures, and no more."""

import inspect
import pickle
from importlib.util import find_spec
from pathlib import Path

import pytest

from pluggable_mlp.backends import (
    Backend,
    BackendUnavailable,
    Compiler,
    MemoryReporter,
    Queued,
    TaskRunner,
)
from tests.together import together

MEMBERS = {member for member in vars(Backend) if not member.startswith("_")}
METHODS = sorted(MEMBERS - {"name", "device", "xp"})
OPTIONAL = {
    "run_all": TaskRunner,
    "compile": Compiler,
    "out_of_memory": MemoryReporter,
    "queued": Queued,
}
MODULES = ("numpy", "cupy", "torch", "jax", "array_api_strict")


def shape_of(method):
    """What a caller sees of a signature: names, kinds and defaults."""
    parameters = inspect.signature(method).parameters.values()
    return [(p.name, p.kind, p.default) for p in parameters]


def test_the_contract_is_exactly_this():
    members = "asarray device devices name synchronize to_numpy versions xp"
    assert sorted(MEMBERS) == members.split()
    optional = "compile out_of_memory queued run_all"
    assert sorted(OPTIONAL) == optional.split()


def test_backend_offers_exactly_the_contract(backend):
    assert isinstance(backend, Backend)
    members = {member for member in dir(backend) if not member.startswith("_")}
    assert members - set(OPTIONAL) == MEMBERS


@pytest.mark.parametrize("method", OPTIONAL)
def test_optional_members_have_the_signatures_of_the_contract(backend, method):
    if not hasattr(backend, method):
        pytest.skip(f"{backend.name} offers no {method}")
    assert isinstance(backend, OPTIONAL[method])
    if method == "queued":
        assert backend.queued in (True, False)
        return
    expected = shape_of(getattr(OPTIONAL[method], method))
    assert shape_of(getattr(backend, method)) == [one for one in expected if one[0] != "self"]


@together("method", ["__init__", *METHODS])
def test_signatures_are_those_of_the_contract(backend, method):
    if (method, backend.name) == ("__init__", "numpy-readonly"):
        method = "asarray"  # it inherits the constructor
    expected = shape_of(inspect.getattr_static(Backend, method).__get__(None, Backend))
    assert shape_of(inspect.getattr_static(type(backend), method).__get__(None, type(backend))) == (
        expected
    )


def test_optional_signatures_are_those_of_the_contract(backend):
    if isinstance(backend, Compiler):
        assert shape_of(type(backend).compile) == shape_of(Compiler.compile)


@pytest.mark.parametrize("exact", [False, True])
def test_a_compiled_function_gives_what_the_function_gives(backend, exact):
    """Trees of every kind, and other numbers at each call; exactly or not, or not at all."""

    def function(tree, factor, nothing):
        assert nothing is None
        (x, y), n = tree["pair"], tree["n"]
        return {"sum": [x + y * factor, (nothing,)], "power": x * n}

    compiles = isinstance(backend, Compiler)
    compiled = backend.compile(function, exact=exact) if compiles else None
    compiled = compiled or function
    for number in (1, 2, 3):
        x, y = (backend.asarray([1.0, number], dtype="float32") for _ in range(2))
        result = compiled({"pair": (x, y), "n": number}, 0.5 * number, None)
        added, (nothing,) = result["sum"]
        assert nothing is None
        assert backend.to_numpy(added).tolist() == [1 + 0.5 * number, number + 0.5 * number**2]
        assert backend.to_numpy(result["power"]).tolist() == [number, number**2]
        assert added.dtype == result["power"].dtype == backend.xp.float32


def test_a_compiled_loop_gives_what_the_function_gives_one_by_one(backend):
    """Powers of x, as carry; their sums with each row as results; other counts at each call."""
    xp = backend.xp

    def function(carry, index, row, shared):
        (power,), (x, nothing) = carry, shared
        assert nothing is None
        assert row["n"].dtype == xp.float64
        return (power * x,), {"sum": xp.sum(power) + row["n"], "index": index + row["n"]}

    loop = backend.compile(function, most=4) if isinstance(backend, Compiler) else None
    if loop is None:
        pytest.skip(f"{backend.name} combines no calls")
    x = backend.asarray([2.0, 3.0], dtype="float64")
    for count in (1, 3, 4):
        first = (backend.asarray([1.0, 1.0], dtype="float64"),)
        rows = {"n": [n + 0.5 for n in range(count)]}
        (power,), results = loop(first, rows, (x, None), count)
        assert backend.to_numpy(power).tolist() == [2.0**count, 3.0**count]
        expected = [2.0**n + 3.0**n + n + 0.5 for n in range(count)]
        assert backend.to_numpy(results["sum"]).tolist()[:count] == expected
        indices = [2 * n + 0.5 for n in range(count)]
        assert backend.to_numpy(results["index"]).tolist()[:count] == indices


def test_text_of_a_backend(backend):
    assert isinstance(backend.name, str)
    assert backend.device in backend.devices()
    versions = backend.versions()
    assert versions
    assert all(isinstance(text, str) and text for text in [*versions, *versions.values()])


@pytest.mark.parametrize("module", MODULES)
def test_a_backend_is_a_small_module(module):
    spec = find_spec(f"pluggable_mlp.backends.{module}")
    assert spec is not None
    assert spec.origin is not None
    assert len(Path(spec.origin).read_text(encoding="utf-8").splitlines()) < 250


def test_unavailable_says_why_and_what_to_do():
    error = BackendUnavailable("cupy", "no GPU", "plug one in")
    assert (error.backend, error.reason, error.remedy) == ("cupy", "no GPU", "plug one in")
    assert str(error) == "backend cupy is not available: no GPU; plug one in"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
