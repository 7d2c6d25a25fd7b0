"""The plug board: specs, names, what is listed, and that nothing is imported until asked for."""

import json
import os
import subprocess
import sys

import pytest

from pluggable_mlp.backends import (
    BackendStatus,
    BackendUnavailable,
    available_backends,
    get_backend,
)

pytestmark = [pytest.mark.as_user, pytest.mark.quick_on("jax:cpu", "numpy", "array_api_strict")]

LIBRARIES = ["numpy", "cupy", "torch", "jax", "dpnp", "array_api_strict"]


def child(code: str) -> str:
    """Run Python code in a fresh process; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | {"PYTHONWARNINGS": "error"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("spec", "name", "device"),
    [
        ("numpy", "numpy", "cpu"),
        ("numpy:cpu", "numpy", "cpu"),
        ("array_api_strict", "array_api_strict", "cpu"),
        ("array_api_strict:device1", "array_api_strict", "device1"),
    ],
)
def test_a_spec_is_a_name_and_a_device(spec, name, device):
    backend = get_backend(spec)
    assert (backend.name, backend.device) == (name, device)


def test_its_own_name_and_device_give_the_same_backend(backend):
    if backend.name == "numpy-readonly":
        pytest.skip("it is the tests' own")
    again = get_backend(f"{backend.name}:{backend.device}")
    assert (type(again), again.device) == (type(backend), backend.device)


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ("numppy", "; did you mean 'numpy'?"),
        ("array-api-strict:cpu", "; did you mean 'array_api_strict'?"),
        ("tensorflow", ""),
        ("", ""),
    ],
)
def test_an_unknown_name_lists_the_known_ones(spec, hint):
    with pytest.raises(ValueError, match=r"^backend is") as caught:
        get_backend(spec)
    names = ", ".join(["numpy", "cupy", "torch", "jax", "dpnp", "array_api_strict"])
    assert f"backend is {spec.partition(':')[0]!r}, expected one of {names}" in str(caught.value)
    assert str(caught.value).endswith(hint)
    assert ("did you mean" in str(caught.value)) == bool(hint)


@pytest.mark.parametrize("spec", [None, 3, ["numpy"]])
def test_invalid_names_raise(spec):
    with pytest.raises(TypeError, match=r"backend is .*: expected the name of one, such as 'nump"):
        get_backend(spec)


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("numpy:gpu", ValueError, "device is 'gpu': NumPy has one device, 'cpu'"),
        ("array_api_strict:device9", ValueError, "'device9': .* has cpu, device1, device2"),
        ("torch:gpu0", ValueError, "device is 'gpu0': .*device string"),
        ("jax:abacus", BackendUnavailable, "no abacus: Unknown backend.*; choose one of .*pu:0"),
        ("jax:cpu:99", BackendUnavailable, "no cpu:99: JAX finds [0-9]+ of that platform"),
        ("jax:cpu:one", ValueError, "device is 'cpu:one': expected a platform and a number"),
    ],
)
def test_a_device_that_is_not_there(spec, error, message):
    pytest.importorskip(spec.partition(":")[0])
    with pytest.raises(error, match=message):
        get_backend(spec)


def test_a_colon_without_a_device():
    with pytest.raises(ValueError, match="backend is 'numpy:': expected a device after the colon"):
        get_backend("numpy:")


INSTALL = {
    "cupy": "'pluggable-mlp[cupy-cuda12]' or 'pluggable-mlp[cupy-cuda13]'",
    "torch": "'pluggable-mlp[torch]'",
    "jax": "'pluggable-mlp[jax]'",
    "dpnp": "'pluggable-mlp[dpnp]'",
    "array_api_strict": "array-api-strict",
}


def test_a_library_that_is_not_installed_says_how_to_install_it():
    said = child(
        f"""
import sys, dataclasses, json
sys.modules |= dict.fromkeys({[*INSTALL]})  # as if none were installed
from pluggable_mlp.backends import BackendUnavailable, available_backends, get_backend
for status in available_backends():
    try:
        get_backend(status.name)
    except BackendUnavailable as why:
        print(json.dumps([why.backend, why.reason, why.remedy, dataclasses.asdict(status)]))
"""
    )
    lines = [json.loads(line) for line in said.splitlines()]
    assert [backend for backend, *_ in lines] == [*INSTALL]
    for backend, reason, remedy, status in lines:
        assert reason == f"{backend} is not installed"
        assert remedy.startswith(f"install it with: pip install {INSTALL[backend]}")
        assert (status["available"], status["devices"]) == (False, [])
        assert (status["reason"], status["remedy"]) == (reason, remedy)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("ImportError('libjax.so is gone')", "libjax.so is gone"),
        (
            "OSError('libcudart.so.13: cannot open shared object file')",
            "libcudart.so.13: cannot open shared object file",
        ),
        # What modules compiled for another NumPy raise.
        (
            "ValueError('numpy.dtype size changed')",
            "ValueError: numpy.dtype size changed",
        ),
    ],
)
def test_a_library_that_is_broken_says_so(tmp_path, error, words):
    broken = tmp_path / "jax"
    broken.mkdir()
    (broken / "__init__.py").write_text(f"raise {error}")
    said = child(
        f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from pluggable_mlp.backends import BackendUnavailable, get_backend
try:
    get_backend("jax")
except BackendUnavailable as why:
    print(why.reason)
"""
    )
    assert said.strip() == f"it is installed, but importing it fails: {words}"


def test_a_missing_module_of_a_library_is_named_and_what_brings_it():
    said = child(
        """
import sys
sys.modules["threadpoolctl"] = None  # as if it were not installed
from pluggable_mlp.backends import BackendUnavailable, get_backend
try:
    get_backend("numpy")
except BackendUnavailable as why:
    print(why.reason, why.remedy, sep="; ")
"""
    )
    assert said.strip() == (
        "it needs threadpoolctl, which is not installed; install it with: pip install pluggable-mlp"
    )


def loaded_after(code: str) -> set[str]:
    """Return which array libraries a fresh process has imported after running the code."""
    return set(child(f"{code}\nimport sys\nprint(*sys.modules)").split()) & set(LIBRARIES)


def test_importing_backends_imports_no_array_library():
    assert loaded_after("import pluggable_mlp.backends") <= {"numpy"}  # the package's own need
    assert loaded_after("import sys, types\n" + BARE_PACKAGE) == set()


# The plug board itself, without what `import pluggable_mlp` brings.
BARE_PACKAGE = """
from importlib.util import find_spec
package = types.ModuleType("pluggable_mlp")
package.__path__ = list(find_spec("pluggable_mlp").submodule_search_locations)
sys.modules["pluggable_mlp"] = package
import pluggable_mlp.backends
"""


@pytest.mark.parametrize("name", ["numpy", "torch", "jax", "array_api_strict"])
def test_a_backend_imports_only_its_own_library(name):
    if name not in ("numpy", "array_api_strict"):
        pytest.importorskip(name)
    code = f"from pluggable_mlp.backends import get_backend\nget_backend({name!r})"
    assert loaded_after(code) == {"numpy", name}


def test_listing_imports_neither_torch_nor_jax():
    code = "from pluggable_mlp.backends import available_backends\navailable_backends()"
    assert not loaded_after(code) & {"torch", "jax"}


def test_listed_backends():
    listed = {status.name: status for status in available_backends()}
    assert list(listed)[: len(LIBRARIES)] == LIBRARIES
    numpy = sys.modules["numpy"]
    assert listed["numpy"] == BackendStatus("numpy", True, numpy.__version__, ("cpu",))
    strict = listed["array_api_strict"]
    assert strict.available
    assert strict.devices is not None
    assert strict.devices[:3] == ("cpu", "device1", "device2")
