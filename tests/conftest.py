"""The fixture that gives every backend that is here, and the word about those that are not.

`PLUGGABLE_MLP_REQUIRE_BACKENDS=numpy,torch:cuda` makes the absence of one of these a failure.
A GPU of PyTorch or JAX, a second device and a plug-in are tested if they are named there.
"""

import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from tempfile import TemporaryDirectory

# scikit-learn's checks on arrays of other libraries ask for it, before SciPy is imported.
os.environ.setdefault("SCIPY_ARRAY_API", "1")
# Each worker of xdist computes with its share of the cores: threads of all would wait for others.
if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    os.environ |= dict.fromkeys(
        ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"),
        str(max((os.cpu_count() or 1) // int(workers), 1)),
    ) | dict(os.environ)

import array_api_strict
import pytest
from hypothesis import settings

from pluggable_mlp.arrays import compiling
from pluggable_mlp.arrays.shortcuts import backend_context
from pluggable_mlp.backends import Backend, BackendUnavailable, available_backends, get_backend
from tests.readonly_numpy import ReadonlyNumpyBackend

VARIABLE = "PLUGGABLE_MLP_REQUIRE_BACKENDS"


def required() -> list[str]:
    """Return the backends that the environment variable names."""
    return [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]


# The same examples every day, and no verdict by a clock that other processes share.  Other
# examples: `pytest --hypothesis-profile=default`.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")

# JAX compiles each operation for each shape.  The two others are in the default suite as stricter
# ones: NumPy that refuses writes in place, and arrays on a device that is not the default.
SLOW = "jax:cpu", "numpy", "array_api_strict"
SPECS = "torch", "cupy", "array_api_strict:device1", *SLOW, *required()
MAKERS: dict[str, Callable[[], Backend]] = {
    "numpy-readonly": ReadonlyNumpyBackend,
    **{spec: partial(get_backend, spec) for spec in SPECS},
}

# It looks for the dtype of every result among all, comparing it in Python with one after the other.
array_api_strict._array_object._all_dtypes = frozenset(array_api_strict._array_object._all_dtypes)


def to_collect() -> list[str]:
    """Return the backends to make tests for: of those not installed, the required ones alone.

    There are thousands of tests for each, and a skipped one takes its time, too.
    """
    absent = {status.name for status in available_backends() if not status.available}
    return [spec for spec in MAKERS if spec in required() or spec.partition(":")[0] not in absent]


made: dict[str, Backend | BackendUnavailable] = {}


def make(label: str) -> Backend | BackendUnavailable:
    """Return the backend, or why there is none; the same one for the whole session."""
    if label not in made:
        try:
            made[label] = MAKERS.get(label, partial(get_backend, label))()
        except BackendUnavailable as why:
            made[label] = why
    return made[label]


def present(label: str) -> Backend:
    """Return the backend; if it is absent, skip the test, or fail where it is required."""
    backend = make(label)
    if isinstance(backend, BackendUnavailable):
        _fail_if_required(label, backend)
        pytest.skip(f"{label} is absent, the section on backends says why")
    return backend


@pytest.fixture(scope="session")
def backend(request: pytest.FixtureRequest) -> Backend:
    """Every backend that is here; others are left out or skipped, or fail where required."""
    return present(request.param)


@pytest.hookimpl(tryfirst=True)  # before other parameters, in the names of tests, too
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that takes `backend` all of them, unless its own parametrization says which.

    Those of SLOW are slow, except where the marker `quick_on` names them.
    """
    test = metafunc.definition
    own = any("backend" in mark.args[0] for mark in test.iter_markers("parametrize"))
    if "backend" in metafunc.fixturenames and not own:
        quick = {spec for mark in test.iter_markers("quick_on") for spec in mark.args}
        slow = {*SLOW} - quick
        params = [
            pytest.param(spec, marks=[pytest.mark.slow] * (spec in slow)) for spec in to_collect()
        ]
        metafunc.parametrize("backend", params, indirect=True, scope="session")


@pytest.fixture(scope="session", params=["cupy"])
def cupy_backend(request: pytest.FixtureRequest) -> Backend:
    """CuPy on a card, for tests of what is special there, which `-k cupy` takes, too."""
    return present(request.param)


@pytest.fixture(scope="session")
def all_backends() -> list[Backend]:
    """All backends that are here, for slow tests that share what does not depend on them."""
    found = {label: make(label) for label in MAKERS}
    for label, backend in found.items():
        if isinstance(backend, BackendUnavailable):
            _fail_if_required(label, backend)
    return [backend for backend in found.values() if not isinstance(backend, BackendUnavailable)]


def _fail_if_required(label: str, why: BackendUnavailable) -> None:
    if label in required():
        pytest.fail(f"{VARIABLE} requires it, but {why}", pytrace=False)


@pytest.fixture(scope="session", autouse=True)
def no_wait_for_the_disk() -> Iterator[None]:
    """Let the system write files when it likes, in this process: no test cuts the power.

    That files are flushed, and when, is tested in test_storage.py.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin without what other tests compiled, which equal networks share."""
    monkeypatch.setattr(compiling, "_kept", OrderedDict())


@pytest.fixture(scope="module", autouse=True)
def settings_of_jax(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compute with JAX as the library does, in its context, unless users' calls are tested."""
    is_users = request.node.get_closest_marker("as_user")
    with backend_context(None if is_users or "jax:cpu" not in to_collect() else make("jax:cpu")):
        yield


files_with_jax = count(1)


@pytest.fixture(scope="module", autouse=True)
def little_left_in_jax() -> Iterator[None]:
    """Free what JAX compiled, after every tenth file: of the whole suite it takes gigabytes.

    After each, the suite would take longer: files have some shapes in common.
    """
    yield
    if (jax := sys.modules.get("jax")) and next(files_with_jax) % 10 == 0:
        jax.clear_caches()


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name bytes by their number: packed ones hold the time, and xdist's workers must agree."""
    return f"{len(val)} bytes" if isinstance(val, bytes) else None


def pytest_sessionstart(session: pytest.Session) -> None:
    """Let JAX, in all processes of this run, look for what it compiled before, of any size."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # a worker of xdist inherits it
        folder = TemporaryDirectory(prefix="compiled-", ignore_cleanup_errors=True)
        session.config.add_cleanup(folder.cleanup)
        os.environ["JAX_COMPILATION_CACHE_DIR"] = folder.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"


def pytest_configure() -> None:
    """Refuse a name that no backend has: it would never be missed."""
    installed = [status.name for status in available_backends()]
    if unknown := [name for name in required() if name.partition(":")[0] not in installed]:
        raise pytest.UsageError(
            f"{VARIABLE} names {', '.join(unknown)}: expected some of {', '.join(installed)}"
        )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the backends that the suite did not run on, and why, whatever else was asked for."""
    terminalreporter.section("backends")
    listed = {status.name: status for status in available_backends()}
    for label in MAKERS:
        why = made.get(label) or listed.get(label.partition(":")[0])
        if reason := getattr(why, "reason", ""):
            terminalreporter.line(f"absent: {label}: {reason}")
    names = ", ".join(required()) or f"none ({VARIABLE} is not set: absent ones are skipped)"
    terminalreporter.line(f"required: {names}")
