"""The seams, by reflection: who imports what, what is public, and that it is explained."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from graphlib import TopologicalSorter
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

import pluggable_mlp

CHECKOUT = Path(__file__).parent.parent
ROOT = Path(pluggable_mlp.__file__).parent
BACKENDS = Path(pluggable_mlp.backends.__file__).parent
ARRAY_LIBRARIES = {"numpy", "cupy", "torch", "jax", "array_api_strict", "scipy", "dask", "ndonnx"}
WITHOUT_ARRAY_LIBRARY = (
    "namespaces/__init__.py",
    "namespaces/reproducible",
    "elementary",
    "network",
    "training",
    "arrays",
    "special.py",
    "fields.py",
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
    """Array libraries that the source imports when it runs, by their own name or a wrapper's."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    names = {name: name.removeprefix("array_api_compat.") for name in imported(tree)}
    return [name for name, bare in names.items() if bare.split(".")[0] in ARRAY_LIBRARIES]


def backends_by_name(source: str) -> list[str]:
    """Imports from the backends, but for their interface."""
    ours = [name for name in imported(ast.parse(source)) if "pluggable_mlp.backends" in name]
    return [name for name in ours if name != "pluggable_mlp.backends.Backend"]


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


def names_bound_twice(source: str) -> list[str]:
    """Constants, functions and classes of a module that a later one of the same name replaces."""
    names: list[str] = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            parts = (part for target in targets for part in ast.walk(target))
            stored = (part for part in parts if isinstance(part, ast.Name))
            names += [part.id for part in stored if isinstance(part.ctx, ast.Store)]
    return [name for name, count in Counter(names).items() if count > 1]


def findings(check: Callable[[str], list[str]], files: list[Path]) -> dict[str, list[str]]:
    """Return what a check of sources finds, by file."""
    assert len(files) > 5
    by_file = {str(file): check(file.read_text(encoding="utf-8")) for file in files}
    return {file: hits for file, hits in by_file.items() if hits}


def test_no_name_of_a_module_is_bound_twice():
    files = {*sources("."), *BACKENDS.glob("*.py")}
    assert findings(names_bound_twice, sorted(files)) == {}


def test_the_mathematics_imports_no_array_library():
    assert findings(foreign_imports, sources(*WITHOUT_ARRAY_LIBRARY)) == {}


def test_no_branch_on_a_backend_outside_backends():
    files = [file for file in sources(".") if BACKENDS not in file.parents]
    assert findings(backend_branches, files) == {}


def test_the_core_knows_of_backends_their_interface_alone():
    assert findings(backends_by_name, sources("network", "training", "namespaces")) == {}


@pytest.mark.parametrize(
    "places",
    [
        ("namespaces", "elementary", "special.py", "arrays"),
        ("estimators", "data", "runs", "cli", "figures"),
    ],
)
def test_no_file_is_in_a_circle_of_imports(places):
    """Those for type checkers are imports, too: each file is understood from what it imports."""
    files = sources(*places)
    paths = {file: file.relative_to(ROOT.parent).with_suffix("") for file in files}
    modules = {".".join(path.parts).removesuffix(".__init__"): file for file, path in paths.items()}

    def imports(file: Path) -> set[str]:
        names = imported(ast.parse(file.read_text(encoding="utf-8")))
        ends = (name.rpartition(".")[0] if name not in modules else name for name in names)
        return {name for name in ends if name in modules}

    TopologicalSorter({name: imports(file) for name, file in modules.items()}).prepare()


def test_the_public_names_import_no_array_library():
    """But NumPy, which randomness and data need on the host; not its slow parts."""
    code = "import sys; from pluggable_mlp import *; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {*run.stdout.split()}
    modules = {name.split(".")[0] for name in loaded}
    assert "pluggable_mlp" in modules
    parts = {name.removeprefix("pluggable_mlp.").split(".")[0] for name in loaded}
    assert not parts & {"cli", "estimators", "figures", "report", "runs", "settings"}
    needless = {"importlib.metadata", "importlib.resources", "pluggable_mlp.training.sweep"}
    assert not loaded & needless
    assert not modules & {"difflib", "safetensors", "typer", "zipfile"}
    assert not modules & {"matplotlib", "narwhals", "polars", "rich", "scipy", "sklearn"}
    assert modules & ARRAY_LIBRARIES == {"numpy"}
    assert "numpy.f2py" not in run.stdout.split()  # array_api_compat.numpy does


def modules() -> Iterator[ModuleType]:
    """Every module of the package whose import needs nothing optional."""
    yield pluggable_mlp
    for info in pkgutil.walk_packages(pluggable_mlp.__path__, "pluggable_mlp."):
        if not info.name.startswith("pluggable_mlp.backends") and not info.name.endswith(
            "__main__"
        ):
            yield importlib.import_module(info.name)
    yield pluggable_mlp.backends


def page_imports(text: str) -> Iterator[tuple[str, str]]:
    """Module and name of each import of the package in Python source or a page's examples."""
    found = re.findall(r"^from (pluggable_mlp[\w.]*) import ([^(\n]+|\([^)]+\))", text, re.M)
    for module, names in found:
        yield from ((module, name) for name in re.findall(r"\w+", names))


PUBLIC = {*pluggable_mlp._HOMES}
PAGES = sorted(
    page.relative_to(CHECKOUT)
    for pattern in ("README.md", "docs/**/*.md", "examples/*.py")
    for page in CHECKOUT.glob(pattern)
)


@pytest.mark.parametrize("page", PAGES)
def test_pages_import_public_names_from_the_package(page):
    imports = list(page_imports((CHECKOUT / page).read_text(encoding="utf-8")))
    assert {module for module, name in imports if name in PUBLIC} <= {"pluggable_mlp"}
    if page.parts[0] != "docs":  # where the inner parts are explained
        assert {module for module, _ in imports} <= {"pluggable_mlp"}


def test_public_names_resolve():
    assert set(dir(pluggable_mlp)) >= PUBLIC
    homes = pluggable_mlp._HOMES.items()
    optional = {name for name, home in homes if home.startswith("pluggable_mlp.estimators.")}
    for name in PUBLIC if find_spec("sklearn") else PUBLIC - optional:
        assert getattr(pluggable_mlp, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        pluggable_mlp.nonsense  # noqa: B018
