"""The command line as a whole: help, quickness, and `backends`."""

import re
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest

from pluggable_mlp.options import Options


def imported_by(code: str) -> set[str]:
    """Return the modules that a fresh interpreter holds after running code."""
    program = f"{code}\nimport sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    """On which no option is shortened or broken."""
    monkeypatch.setenv("COLUMNS", "120")


def test_help_of_train_begins_with_a_few_options_and_has_groups(command):
    lines = command("train", "--help").out.splitlines()
    groups: dict[str, list[str]] = {}
    for line in lines:
        if title := re.match(r"╭─ (\w+) ─", line):
            groups[title[1]] = []
        elif option := re.match(r"│ (--[\w-]+) ", line):
            next(reversed(groups.values())).append(option[1])
    assert list(groups) == ["Options", "Data", "Network", "Training", "Output", "Processes"]
    assert {"--data", "--hidden", "--epochs", "--output", "--help"} <= {*groups["Options"]}
    assert len(groups["Options"]) <= 10
    assert "--scaling" in groups["Data"]
    assert "--dropout" in groups["Network"]
    assert "--learning-rate" in groups["Training"]
    assert "--resume" in groups["Output"]
    assert groups["Processes"] == ["--distributed"]


def test_the_examples_in_the_help_are_taken(command):
    words = command("train", "--help").out.replace("│", " ").split()
    examples = [word.strip(".:") for word in words if re.search(r"\w:\w+=", word)]
    assert len(examples) == 2
    Options(hidden=(4, 4), activation=examples[0], optimizer=examples[1])


def test_help_imports_neither_numpy_nor_training_nor_what_reads_and_writes_files():
    modules = imported_by("import pluggable_mlp.cli.app")
    assert not modules & {"numpy", "torch", "jax", "cupy", "array_api_strict", "pooch", "scipy"}
    assert not modules & {"email", "narwhals", "polars", "safetensors", "matplotlib", "sklearn"}
    ours = {name.removeprefix("pluggable_mlp.") for name in modules}
    assert not ours & {"consistency", "data", "estimators", "figures", "runs", "serialization"}
    assert not ours & {"network.mlp", "network.members", "network.embeddings", "settings"}
    assert not ours & {"training.examples", "training.loop", "training.steps", "training.train"}


def test_little_is_imported_before_ctrl_c_is_handled():
    assert not imported_by("import pluggable_mlp.cli") & {"numpy", "typer", "typing", "threading"}


def test_training_imports_no_parts_of_numpy_that_it_does_not_use(tmp_path):
    """`array_api_compat.numpy` imports them all: as long again as NumPy itself."""
    data = str(tmp_path / "floats.npz")
    np.savez(data, X=np.random.default_rng(0).normal(size=(60, 3)), y=np.arange(60) % 2)
    command = ["train", "--quiet", "--epochs", "1", "--arithmetic", "reproducible"]
    command += ["--data", data, "--output", str(tmp_path / "run")]
    code = (
        f"import sys; sys.argv = ['pluggable-mlp', *{command}]\n"
        "from pluggable_mlp.cli import main\n"
        "try: main()\nexcept SystemExit as stop: assert not stop.code\n"
    )
    modules = imported_by(code)
    assert "pluggable_mlp.training.loop" in modules
    assert not modules & {"array_api_compat.numpy", "numpy.f2py", "numpy.testing"}


def test_backends_lists_what_is_here_without_importing_torch_or_jax():
    code = (
        "import sys; sys.argv = ['pluggable-mlp', 'backends']\n"
        "from pluggable_mlp.cli import main\n"
        "try: main()\nexcept SystemExit as stop: assert not stop.code\n"
    )
    assert not imported_by(code) & {"torch", "jax"}


def test_backends_says_why_one_is_not_here(command, monkeypatch):
    from pluggable_mlp import backends

    monkeypatch.setattr(backends, "find_spec", lambda name: None)
    outcome = command("backends")
    assert outcome.code == 0
    assert "jax is not installed" in " ".join(outcome.out.split())
    assert "pluggable-mlp[jax]" in outcome.out


def test_the_version_is_that_of_the_package(command):
    outcome = command("--version")
    assert (outcome.code, outcome.out) == (0, f"pluggable-mlp {version('pluggable-mlp')}\n")
