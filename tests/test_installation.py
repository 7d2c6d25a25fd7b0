"""Installations from the checkout: what type checkers see of them, and what the packages hold."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections import Counter
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BACKENDS = sorted(path.name for path in (ROOT / "backends").glob("*.py"))
SCRIPT = """
from pluggable_mlp import MLP, get_backend
reveal_type(MLP([2, 3]))
reveal_type(get_backend("numpy"))
MLP(sizes=1)
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the checkout: builds leave files in it."""
    left_out = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist")
    folder = tmp_path_factory.mktemp("copy") / "checkout"
    return shutil.copytree(ROOT, folder, symlinks=True, ignore=left_out)


def run(command, folder, **variables):
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=os.environ | {name: str(value) for name, value in variables.items()},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def succeed(command, folder, **variables):
    code, text = run(command, folder, **variables)
    assert code == 0, text
    return text


def test_an_editable_install_has_its_types(checkout, tmp_path):
    """In an environment of its own, where nothing else is installed."""
    pytest.importorskip("mypy")
    pytest.importorskip("build")
    # An import of setuptools here would fail once another test has imported distutils.
    packages = metadata.distribution("setuptools").locate_file("")
    venv.create(tmp_path / "environment", with_pip=True)
    (python,) = (tmp_path / "environment").glob("*/python")
    pip = ["-m", "pip", "install", "--no-build-isolation", "--no-deps", "-e", checkout]
    succeed([python, *pip], tmp_path, PYTHONPATH=packages)
    (tmp_path / "elsewhere").mkdir()
    script = tmp_path / "elsewhere/script.py"
    script.write_text(SCRIPT)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache"]
    code, text = run([*mypy, "--python-executable", python, script], script.parent)
    lines = [line.partition(": ")[2] for line in text.splitlines()]
    revealed = [
        re.fullmatch(r'note: Revealed type is "pluggable_mlp\.(.+)"', line) for line in lines
    ]
    assert [found and found[1].split(".")[-1] for found in revealed[:2]] == ["MLP", "Backend"]
    assert '"sizes"' in lines[2]  # an int is no sequence
    assert code == 1
    assert len(lines) == 4


def test_the_packages_hold_the_backends_once(checkout, tmp_path):
    """The wheel is built from the sdist; it works alone."""
    pytest.importorskip("build")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path]
    succeed([*build, checkout], tmp_path)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        members = [member for member in archive if member.name.endswith(".py")]
    assert all(member.isfile() for member in members)
    assert backends(member.name.partition("/")[2] for member in members) == Counter(BACKENDS)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert backends(archive.namelist()) == Counter(BACKENDS)
        archive.extractall(tmp_path / "wheel")
    program = [sys.executable, "-m", "pluggable_mlp", "train", "--quiet", "--epochs", "1"]
    alone = {"PYTHONPATH": tmp_path / "wheel"}
    succeed([*program, "--output", "run"], tmp_path, **alone)
    assert json.loads((tmp_path / "run/summary.json").read_text())["epochs"] == 1
    code = "import pluggable_mlp.backends as b; print(b.__file__)"
    found = succeed([sys.executable, "-c", code], tmp_path, **alone)
    assert Path(found.strip()) == tmp_path / "wheel/pluggable_mlp/backends/__init__.py"


def backends(names):
    """Count the files of that folder by name, wherever it is."""
    paths = map(Path, names)
    return Counter(
        path.name for path in paths if path.parent.name == "backends" and "tests" not in path.parts
    )
