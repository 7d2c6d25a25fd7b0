"""Installations from the checkout: what type checkers see of them, and what the packages hold."""

import os
import re
import shutil
import subprocess
import sys
import venv
from collections import Counter
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
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


def backends(names):
    """Count the files of that folder by name, wherever it is."""
    paths = map(Path, names)
    return Counter(
        path.name for path in paths if path.parent.name == "backends" and "tests" not in path.parts
    )
