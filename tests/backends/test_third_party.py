"""A third-party package adds a backend by its entry point, and training works with it."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pluggable_mlp import MLP, Adam, train
from pluggable_mlp.backends import tracing
from tests.plug_ins import write_plug_in

TEMPLATE = Path(__file__).parents[2] / "examples" / "plugin"


def run_with(environment: dict[str, str], code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process that finds the package."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
def test_the_template_of_a_plug_in_is_built_installed_and_checked(tmp_path):
    """As its README says, but that the recorded runs are some, to take less time."""
    folder, target = tmp_path / "plugin", tmp_path / "installed"
    shutil.copytree(TEMPLATE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--quiet"]
    pip += ["--no-build-isolation", "--disable-pip-version-check", "--target", str(target)]
    subprocess.run([*pip, str(folder)], check=True, timeout=300)
    path = os.pathsep.join([str(target), *filter(None, [os.environ.get("PYTHONPATH")])])
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_abacus.py"]
    done = subprocess.run(
        [*tests, "-k", "not recorded or pixels"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"\b1[0-9] passed, \d+ skipped|\b2[0-9] passed, \d+ skipped", done.stdout)


def test_steps_of_a_plug_in_are_traced_unless_it_declines(monkeypatch):
    pytest.importorskip("array_api_strict")
    programs, compiled = [], tracing.compiled_program
    monkeypatch.setattr(
        tracing, "compiled_program", lambda *source: programs.append(source) or compiled(*source)
    )
    backend = runpy.run_path(str(TEMPLATE / "abacus.py"))["AbacusBackend"]()
    x, y = np.linspace(-1.0, 1.0, 40, dtype="float32").reshape(10, 4), np.arange(10) % 3
    found = []
    for backend.traces in (False, True):
        programs.clear()
        for arithmetic in ("native", "reproducible"):
            settings = {"arithmetic": arithmetic, "batch_size": 2, "optimizer": Adam()}
            result = train(MLP([4, 5, 3], dropout=0.1), x, y, backend=backend, **settings)
            layers = result.parameters
            found.append([backend.to_numpy(w) for layer in layers for w in layer.values()])
        assert bool(programs) == backend.traces
    for one, other in zip(found[:2], found[2:], strict=True):
        assert all(map(np.array_equal, one, other))


# Faulty packages: what their user reads.
FAULTY = {
    "an unknown name lists it": (
        "class Abacus: ...",
        "get_backend('abcus')",
        "ValueError: backend is 'abcus', expected one of numpy, cupy, torch, jax, dpnp, "
        "array_api_strict, abacus; did you mean 'abacus'?",
    ),
    "a class that is not a backend": (
        "class Abacus:\n    def __init__(self, device): self.name, self.xp = 'abacus', None",
        "get_backend('abacus')",
        "lacks asarray, device, devices, synchronize, to_numpy, versions",
    ),
    "a package whose own needs are not installed": (
        "import wooden_frame",
        "get_backend('abacus')",
        "BackendUnavailable: backend abacus is not available: it needs wooden_frame, which is not "
        "installed; repair the package that brings it (abacus:Abacus)",
    ),
    "a module that fails": (
        "1 / 0",
        "get_backend('abacus')",
        "it is installed, but importing it fails: ZeroDivisionError: division by zero; repair",
    ),
    "a module without the class": (
        "class Abacos: ...",
        "get_backend('abacus')",
        "it is installed, but importing it fails: AttributeError: module 'abacus' has no attribute",
    ),
}


@pytest.mark.parametrize("case", FAULTY)
def test_a_faulty_package(tmp_path, case):
    source, code, message = FAULTY[case]
    environment = write_plug_in(tmp_path, "abacus = abacus:Abacus", abacus=source)
    done = run_with(environment, f"from pluggable_mlp.backends import get_backend\n{code}")
    assert done.returncode == 1
    assert message in done.stderr


def test_a_plug_in_whose_package_is_gone_is_not_available_unless_imported(tmp_path):
    environment = write_plug_in(tmp_path, "abacus = abacus.backend:Abacus")
    code = "from pluggable_mlp import available_backends\nprint(available_backends()[-1])"
    printed = run_with(environment, code).stdout
    assert "name='abacus', available=False" in printed
    assert "reason='it needs abacus, which is not installed', remedy='repair the" in printed
    code = f"import sys\nsys.modules['abacus'] = type(sys)('abacus')  # without a spec\n{code}"
    assert "name='abacus', available=True" in run_with(environment, code).stdout


def test_a_built_in_name_cannot_be_taken(tmp_path):
    source = "class Other: ..."
    environment = write_plug_in(tmp_path, "numpy = abacus:Other", abacus=source)
    code = "from pluggable_mlp import available_backends as a, get_backend\n"
    code += "print(type(get_backend('numpy')).__name__, [s.name for s in a()].count('numpy'))"
    assert run_with(environment, code).stdout.split() == ["NumpyBackend", "1"]
