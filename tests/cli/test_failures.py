"""Errors that end a command: one clear line, an exit code of their own, no traceback."""

import sys

import pytest

from tests.backends.exhausted import SIDE, exhausted
from tests.conftest import present
from tests.plug_ins import write_plug_in

pytestmark = pytest.mark.as_user


def only_line(outcome) -> str:
    (line,) = outcome.err.splitlines()
    return line


@pytest.mark.parametrize("hidden", [f"{SIDE},{SIDE}", f"{10**12}"])
def test_a_network_larger_than_memory_is_refused(command, hidden):
    outcome = command("train", "--hidden", hidden)
    assert (outcome.code, outcome.out) == (3, "")
    line = only_line(outcome)
    assert line.startswith("Error: out of memory: a layer of ")
    assert "weights, drawn in float64, takes " in line
    assert "--dtype float32 need less" in line


@pytest.mark.parametrize("spec", ["numpy", "array_api_strict", "torch", "jax", "cupy"])
def test_out_of_memory_in_training_ends_with_3(command, monkeypatch, spec):
    place = present(spec)
    error = exhausted(place)

    def synchronize(self):
        raise error

    monkeypatch.setattr(type(place), "synchronize", synchronize)
    outcome = command("train", "--epochs", 2, "--backend", spec)
    assert outcome.code == 3
    assert only_line(outcome).startswith("Error: out of memory: ")


EXHAUSTED = """
from pluggable_mlp.backends.numpy import NumpyBackend

class GlassBackend(NumpyBackend):
    name = "glass"
    epochs = 0

    def synchronize(self):
        self.epochs += 1

    def to_numpy(self, array):
        if self.epochs == 2:
            raise MemoryError("no room")
        return super().to_numpy(array)
"""


def test_the_first_epoch_has_a_checkpoint_however_short(command, tmp_path, glass):
    """From the second on, nothing comes from the device any more."""
    glass(EXHAUSTED)
    run = tmp_path / "run"
    outcome = command("train", "--hidden", 8, "--epochs", 3, "--backend", "glass", "--output", run)
    assert outcome.code == 3
    assert outcome.err.startswith("Error: out of memory: no room")
    outcome = command("train", "--quiet", "--resume", run, "--backend", "numpy")
    assert (outcome.code, outcome.err) == (0, "")  # no word of a beginning
    assert command("verify", run).code == 0


@pytest.fixture
def glass(tmp_path, monkeypatch):
    """Install a backend "glass" of this source; an installed one is seen in test_third_party.py."""

    def install(source):
        write_plug_in(tmp_path, "glass = glass:GlassBackend", glass=source)
        monkeypatch.syspath_prepend(tmp_path)

    yield install
    sys.modules.pop("glass", None)


FAULTY = """
from pluggable_mlp.backends.numpy import NumpyBackend

class GlassBackend(NumpyBackend):
    name = "glass"

    def asarray(self, data, dtype=None):
        FAULT
"""


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (
            "{}['beads']",
            3,
            "Error: unexpected KeyError (glass.py, line 8, in asarray): 'beads'",
        ),
        (
            "raise RuntimeError('the glass is broken\\nin many pieces')",
            3,
            "Error: unexpected RuntimeError (glass.py, line 8, in asarray): the glass is broken",
        ),
        ("raise ValueError('data is not glass')", 2, "Error: data is not glass"),
        ("assert False", 3, "Error: unexpected AssertionError (glass.py, line 8, in asarray): "),
    ],
)
def test_an_error_of_a_plug_in_is_one_line_that_says_where(command, glass, fault, code, words):
    glass(FAULTY.replace("FAULT", fault))
    outcome = command("train", "--backend", "glass")
    assert (outcome.code, outcome.out) == (code, "")
    assert only_line(outcome).startswith(words)
