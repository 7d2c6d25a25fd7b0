"""Tests may lack optional packages, but not where `ci/every_package.py` is a plug-in of pytest."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# What the suite can do without, and a machine with a GPU need not have.
NOT_THERE = ("ndonnx", "onnx", "onnxruntime", "pandas", "polars", "tensorboardX", "torch", "jax")


WITHOUT_THEM = """
import sys
import pytest

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        absent = name.split(".")[0] in sys.argv[1].split()
        return None if absent else self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(Without, sys.meta_path)
sys.exit(pytest.main(sys.argv[2:]))
"""


@pytest.mark.slow
def test_all_files_of_tests_can_be_read_where_optional_packages_are_absent():
    command = [sys.executable, "-c", WITHOUT_THEM, " ".join(NOT_THERE)]
    command += ["--collect-only", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "could not import 'polars'" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("required", [False, True])
def test_an_absent_package_is_a_failure_where_each_is_required(required, tmp_path):
    (tmp_path / "test_top.py").write_text(
        "import pytest\npytest.importorskip('no_such')\ndef test_top(): ...\n"
    )
    (tmp_path / "test_within.py").write_text(
        "import pytest\ndef test_within(): pytest.importorskip('no_such', reason='not here')\n"
    )
    asked = ["-p", "ci.every_package"] if required else []
    command = [sys.executable, "-m", "pytest", "-q", *asked, "-p", "no:cacheprovider", tmp_path]
    command += ["--continue-on-collection-errors", "--rootdir", tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ("1 failed, 1 error" if required else "2 skipped") in done.stdout


@pytest.mark.slow
def test_an_absent_mpiexec_is_a_failure_where_each_package_is_required(tmp_path):
    (tmp_path / "python").symlink_to(sys.executable)
    command = [tmp_path / "python", "-m", "pytest", "-p", "ci.every_package", "--collect-only"]
    path = {"PATH": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ | path
    )
    assert done.returncode == 4
    assert "there is no mpiexec" in done.stderr
