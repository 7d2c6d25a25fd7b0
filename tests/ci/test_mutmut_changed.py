"""`ci/mutmut_changed.sh`: which files are mutated, which tests are run, what is printed.

In the place of mutmut is a script that prints its settings.  What mutmut makes of real files takes
minutes: it is run by hand.
"""

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "ci" / "mutmut_changed.sh"
MUTMUT = """#!/bin/sh
case $1 in
    run) cat pyproject.toml; cat backends/tape.py ;;
    results) printf 'm.x_f__mutmut_%s\\n' '1: survived' '2: no tests' '3: survived' '4: no tests' ;;
    show) echo "# a diff of $2" ;;
esac
"""

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")


@pytest.fixture
def repository(tmp_path):
    """A repository with two library files and their tests, and a mutmut that only prints."""
    root = tmp_path / "repository"
    for name in (
        "pluggable_mlp/network/losses.py", "backends/tape.py", "backends/jax.py",
        "tests/network/losses/test_bits.py", "tests/network/test_layers.py",
        "tests/backends/test_jax.py", "tests/backends/test_jax_exact.py",
        "tests/backends/test_torch.py", "ci/gpu_bits.py",
    ):  # fmt: skip
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("as committed\n", encoding="utf-8")
    shutil.copy(SCRIPT, root / "ci")
    (root / "pyproject.toml").write_text("[tool.mutmut]  # a remark\nalso_copy = []\n", "utf-8")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "mutmut").write_text(MUTMUT, encoding="utf-8")
    (programs / "mutmut").chmod(0o755)

    def run(*command):
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "PATH": path}
        names = {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER")
                 for what in ("NAME", "EMAIL")}  # fmt: skip
        return subprocess.run(
            command, cwd=root, env={**os.environ, **own, **names},
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip

    run("git", "init", "--quiet", "--initial-branch", "main")
    run("git", "add", ".")
    run("git", "commit", "--quiet", "--message", "first")
    return root, run


def test_changed_files_and_their_tests(repository):
    root, run = repository
    for name in ("pluggable_mlp/network/losses.py", "backends/jax.py", "ci/gpu_bits.py"):
        (root / name).write_text("changed\n", encoding="utf-8")
    said = run("bash", "ci/mutmut_changed.sh")
    settings = tomllib.loads(said[said.index("[tool.mutmut]") : said.index("as committed")])
    assert settings["tool"]["mutmut"] == {
        "only_mutate": ["pluggable_mlp/backends/jax.py", "pluggable_mlp/network/losses.py"],
        "pytest_add_cli_args_test_selection": [
            "tests/backends/test_jax.py",
            "tests/backends/test_jax_exact.py",
            "tests/network/losses/test_bits.py",
        ],
        "also_copy": [],
    }
    _, _, after = said.partition("as committed\n")
    without_tests, *survived = after.splitlines()
    assert without_tests.split() == ["2", "m.x_f:", "no", "tests"]
    assert survived == ["# a diff of m.x_f__mutmut_1", "# a diff of m.x_f__mutmut_3"]
