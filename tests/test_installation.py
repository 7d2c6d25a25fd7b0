"""Installations from the checkout: what type checkers see of them, and what the packages hold."""

import os
import re
import shutil
import subprocess
import sys
import venv
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


def test_an_editable_install_has_its_types(checkout, tmp_path):
    """In an environment of its own, where nothing else is installed."""
    pytest.importorskip("mypy")
    pytest.importorskip("build")
    # An import of setuptools here would fail once another test has imported distutils.
    packages = metadata.distribution("setuptools").locate_file("")
    venv.create(tmp_path / "environment")
    (python,) = (tmp_path / "environment").glob("*/python")
    install = ["install", "--no-build-isolation", "--no-deps", "-e", checkout]
    pip = [sys.executable, "-m", "pip", "--python", python, *install]
    environment = os.environ | {"PYTHONPATH": str(packages)}
    subprocess.run(pip, cwd=tmp_path, env=environment, check=True)
    (tmp_path / "elsewhere").mkdir()
    script = tmp_path / "elsewhere/script.py"
    script.write_text(SCRIPT)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache"]
    command = [*mypy, "--python-executable", python, script]
    done = subprocess.run(command, cwd=script.parent, capture_output=True, text=True, check=False)
    lines = [line.partition(": ")[2] for line in done.stdout.splitlines()]
    revealed = [
        re.fullmatch(r'note: Revealed type is "pluggable_mlp\.(.+)"', line) for line in lines
    ]
    assert [found and found[1].split(".")[-1] for found in revealed[:2]] == ["MLP", "Backend"]
    assert '"sizes"' in lines[2]  # an int is no sequence
    assert done.returncode == 1
    assert len(lines) == 4
