"""The fixture that gives every backend that is here, and the word about those that are not.

`PLUGGABLE_MLP_REQUIRE_BACKENDS=numpy,torch:cuda` makes the absence of one of these a failure.
A GPU of PyTorch or JAX, a second device and a plug-in are tested if they are named there.
"""

import os
import re
import sys
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial
from itertools import count
from tempfile import TemporaryDirectory
from zlib import crc32

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

SPECS = "numpy", "torch", "jax:cpu", "cupy", "array_api_strict", "array_api_strict:device1"
MAKERS: dict[str, Callable[[], Backend]] = {
    "numpy-readonly": ReadonlyNumpyBackend,
    **{spec: partial(get_backend, spec) for spec in (*SPECS, *required())},
}

# It looks for the dtype of every result among all, comparing it in Python with one after the other.
array_api_strict._array_object._all_dtypes = frozenset(array_api_strict._array_object._all_dtypes)

# The same library as a stricter member, which also refuses writes in place, or NumPy's functions.
TWINS = {"numpy", "array_api_strict"}
# Networks and optimizers run on these in the slow suite alone; operations have every library.
SLOW_ON_NETWORKS = {"torch", "jax:cpu"}


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


@pytest.fixture(scope="session", params=to_collect())
def backend(request: pytest.FixtureRequest) -> Backend:
    """Every backend that is here; others are left out or skipped, or fail where required."""
    return present(request.param)


@pytest.fixture(scope="session")
def cupy_backend() -> Backend:
    """CuPy on a card, for tests of what is special there."""
    return present("cupy")


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


WITH_USERS_SETTINGS = re.compile(
    "tests[.](backends|cli|consistency|distributed|docs|estimators|examples|figures|runs)[.]"
    "(?!test_(attacks|checkpoints|jax_exact|table_members)$)"
    "|tests[.]test_(recorded_runs|process)$|tests[.]training[.]test_(train|sweep)$"
)


@pytest.fixture(scope="module", autouse=True)
def settings_of_jax(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compute with JAX as the library does, in its context, unless users' calls are tested."""
    is_users = WITH_USERS_SETTINGS.match(request.module.__name__)
    jax = None if is_users or "jax:cpu" not in to_collect() else make("jax:cpu")
    with backend_context(jax):
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


@pytest.hookimpl(tryfirst=True)  # before pytest selects by marker
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the twins to the slow suite, but where the backends themselves are tested or named.

    And mark the tests that need CuPy, for `-k cupy`; and take every other cell on JAX, which
    compiles each operation for each shape and dtype: the other libraries have all.
    """
    on_jax: dict[str, list[tuple[pytest.Item, list[tuple[int, ...]]]]] = {}
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        backend = str(params.get("backend"))
        if "cupy_backend" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.cupy)
        if any("backend" in mark.args[0] for mark in item.iter_markers("parametrize")):
            continue
        if backend in TWINS and "tests/backends/" not in item.nodeid:
            item.add_marker(pytest.mark.slow)
        if backend in SLOW_ON_NETWORKS and re.search("tests/(network|training)/", item.nodeid):
            item.add_marker(pytest.mark.slow)
        if backend.startswith("jax"):
            on_jax.setdefault(item.nodeid.partition("[")[0], []).append((item, cell_of(item)))
    left_out = {
        item
        for name, own in on_jax.items()
        for (item, _), is_taken in zip(own, every_other(name, [of for _, of in own]), strict=True)
        if not is_taken
    }
    config.hook.pytest_deselected(items=[*left_out])
    items[:] = [item for item in items if item not in left_out]


def cell_of(item: pytest.Item) -> list[tuple[int, ...]]:
    """Return what tells a test's values in each of its parametrizations from others."""
    params = {name: id(value) for name, value in item.callspec.params.items() if name != "backend"}
    marked = []
    for mark in item.iter_markers("parametrize"):
        names = mark.args[0].split(",") if isinstance(mark.args[0], str) else mark.args[0]
        marked.append(tuple(params.pop(name.strip()) for name in names))
    return [*marked, *((value,) for value in params.values())]


def every_other(name: str, cells: Sequence[Sequence[Hashable]]) -> list[bool]:
    """Return which cells are of one colour, if they are of at least two rows and two columns.

    It is that of a chessboard's cells.  Which colour depends on the test's name, so that tests of
    one kind have both together.
    """
    axes = [[*dict.fromkeys(values)] for values in zip(*cells, strict=True)]
    if sum(len(axis) > 1 for axis in axes) < 2:
        return [True] * len(cells)
    places = [
        sum(axis.index(value) for axis, value in zip(axes, cell, strict=True)) for cell in cells
    ]
    return [place % 2 != crc32(name.encode()) % 2 for place in places]


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
