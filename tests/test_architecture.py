"""The seams, by reflection: who imports what, what is public, and that it is explained."""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import pluggable_mlp

ROOT = Path(pluggable_mlp.__file__).parent
BACKENDS = Path(pluggable_mlp.backends.__file__).parent
ARRAY_LIBRARIES = {"numpy", "cupy", "torch", "jax", "array_api_strict", "scipy", "dask", "ndonnx"}
WITHOUT_ARRAY_LIBRARY = (
    "arithmetic",
    "network",
    "training",
    "arrays.py",
    "names.py",
    "hyperparameters.py",
)


def sources(*places: str) -> list[Path]:
    paths = [ROOT / place for place in places]
    return sorted(
        file for path in paths for file in ([path] if path.is_file() else path.rglob("*.py"))
    )


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that the source imports, at the top or within a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def foreign_imports(source: str) -> list[str]:
    """Array libraries that the source imports, by their own name or as a wrapper's module."""
    names = {name: name.removeprefix("array_api_compat.") for name in imported(ast.parse(source))}
    return [name for name, bare in names.items() if bare.split(".")[0] in ARRAY_LIBRARIES]


def backend_branches(source: str) -> list[str]:
    """Comparisons with a backend's name, and calls that ask whose array it is."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare | ast.match_case):
            names = {n.value for n in ast.walk(node) if isinstance(n, ast.Constant)}
            if names & ARRAY_LIBRARIES:
                found.append(ast.unparse(node))
        elif isinstance(node, ast.Call):
            function = ast.unparse(node.func).split(".")[-1]
            if function.startswith("is_") and function.endswith(("_array", "_namespace")):
                found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize("file", sources(*WITHOUT_ARRAY_LIBRARY), ids=lambda f: f.name)
def test_the_mathematics_imports_no_array_library(file):
    assert foreign_imports(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("file", sources("."), ids=lambda f: f.name)
def test_no_branch_on_a_backend_outside_backends(file):
    if BACKENDS in file.parents:
        return
    assert backend_branches(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("file", sorted(BACKENDS.rglob("*.py")), ids=lambda f: f.name)
def test_backends_know_nothing_of_the_network(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    allowed = ("pluggable_mlp.arrays.", "pluggable_mlp.names.", "pluggable_mlp.backends.")
    assert [
        n for n in imported(tree) if n.startswith("pluggable_mlp") and not n.startswith(allowed)
    ] == []


def test_the_checks_find_what_they_look_for():
    assert foreign_imports("def f():\n    import numpy as np") == ["numpy"]
    assert foreign_imports("from array_api_compat.torch import exp") == [
        "array_api_compat.torch.exp"
    ]
    assert foreign_imports("import array_api_compat") == []
    assert backend_branches("if backend.name == 'cupy': pass") == ["backend.name == 'cupy'"]
    assert backend_branches("f(x) if x in ('jax', 'torch') else 0") == ["x in ('jax', 'torch')"]
    assert backend_branches("is_torch_array(x)") == ["is_torch_array(x)"]
    assert backend_branches("if name == 'native': pass") == []


def test_the_public_names_import_no_array_library():
    """But NumPy, which randomness and data need on the host."""
    code = "import sys; from pluggable_mlp import *; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = {name.split(".")[0] for name in run.stdout.split()}
    assert "pluggable_mlp" in modules
    assert modules & ARRAY_LIBRARIES == {"numpy"}


def modules() -> Iterator[ModuleType]:
    """Every module of the package whose import needs nothing optional."""
    yield pluggable_mlp
    for info in pkgutil.walk_packages(pluggable_mlp.__path__, "pluggable_mlp."):
        if not info.name.startswith("pluggable_mlp.backends") and not info.name.endswith(
            "__main__"
        ):
            yield importlib.import_module(info.name)
    yield pluggable_mlp.backends


@pytest.mark.parametrize("module", list(modules()), ids=lambda m: m.__name__)
def test_what_is_public_exists_and_is_explained(module):
    file = Path(module.__file__)
    if file.stat().st_size == 0:
        return
    assert module.__doc__, "no module docstring"
    public = getattr(module, "__all__", [])
    assert len(set(public)) == len(public)
    for name in public:
        thing = getattr(module, name)
        if inspect.isroutine(thing) or inspect.isclass(thing):
            assert inspect.getdoc(thing), f"{name} has no docstring"
            for member, function in vars(thing).items() if inspect.isclass(thing) else ():
                if inspect.isfunction(function) and not member.startswith("_"):
                    assert inspect.getdoc(function), f"{name}.{member} has no docstring"


@pytest.mark.parametrize(
    "file",
    [*sources("."), *sorted(BACKENDS.rglob("*.py"))],
    ids=lambda f: f"{f.parent.name}/{f.name}",
)
def test_every_public_function_is_explained(file):
    """Also those that no `__all__` names."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    bare = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and ast.get_docstring(node) is None
    ]
    assert bare == []


def test_the_package_exports_what_the_readme_shows():
    for name in ("MLP", "SGD", "get_backend", "train", "available_backends", "BackendUnavailable"):
        assert name in pluggable_mlp.__all__
