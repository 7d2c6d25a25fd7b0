"""Errors that end a command: one clear line, an exit code of their own, no traceback."""

import hashlib
import json
import os
import sys
from pathlib import Path

import pytest

from pluggable_mlp import compiling
from pluggable_mlp.backends import get_backend
from pluggable_mlp.namespaces.reproducible import exactness
from tests.backends.exhausted import SIDE, exhausted
from tests.cli.certificates import sealed
from tests.cli.children import running
from tests.plug_ins import write_plug_in

MEMINFO = Path("/proc/meminfo")


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


def test_a_certificate_of_such_a_network_is_refused(command, tmp_path):
    command("train", "--epochs", 1, "--output", tmp_path / "run")
    path = tmp_path / "run" / "certificate.json"
    content = json.loads(path.read_text())
    content["settings"]["hidden"] = [10**12]
    text = json.dumps(content["settings"], sort_keys=True, separators=(",", ":"))
    content["settings_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(sealed(content)))
    outcome = command("verify", path)
    assert outcome.code == 3
    assert only_line(outcome).startswith("Error: out of memory: a layer of ")


@pytest.mark.parametrize("spec", ["numpy", "array_api_strict", "torch", "jax"])
def test_out_of_memory_in_training_ends_with_3(command, monkeypatch, spec):
    pytest.importorskip(spec)
    place = get_backend(spec)
    error = exhausted(place)

    def synchronize(self):
        raise error

    monkeypatch.setattr(type(place), "synchronize", synchronize)
    outcome = command("train", "--epochs", 2, "--backend", spec)
    assert outcome.code == 3
    assert only_line(outcome).startswith("Error: out of memory: ")


@pytest.mark.parametrize("words", ["train --arithmetic reproducible", "evaluate RUN", "verify RUN"])
def test_a_device_with_inexact_products_ends_with_3(command, monkeypatch, tmp_path, words):
    run = str(tmp_path / "run")
    command("train", "--epochs", 1, "--arithmetic", "reproducible", "--output", run)
    # NumPy as on a device that is not the host, with products that no float64 holds exactly.
    monkeypatch.setattr(exactness, "_HOST", 0)
    monkeypatch.setattr(compiling, "_trials", {})
    monkeypatch.setattr(exactness, "WIDTHS", ((40, 40),))
    outcome = command(*words.replace("RUN", run).split())
    assert outcome.code == 3
    assert only_line(outcome).startswith(
        "Error: arithmetic reproducible is not available on cpu: its float64 products are not exact"
    )


@pytest.mark.skipif(not MEMINFO.exists(), reason="limits as Linux has them")
def test_a_limit_on_memory_is_an_error_of_one_line():
    limited = ("sh", "-c", 'ulimit -v 1100000; exec "$@"', "sh")
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    with running("train", "--hidden", "12000,12000", before=limited, env=environment) as child:
        out, err = child.communicate(timeout=600)
    assert (child.returncode, out) == (3, "")
    assert err.startswith("Error: out of memory: Unable to allocate ")
    assert err.count("\n") == 1


SHRINKING = """
import contextlib
import resource
import numpy
from pluggable_mlp.backends.numpy import NumpyBackend

class GlassBackend(NumpyBackend):
    name = "glass"
    epochs = 0
    held = []

    def synchronize(self):
        self.epochs += 1
        if self.epochs == 2:
            raise MemoryError("no room")

    def to_numpy(self, array):
        if self.epochs == 2 and not self.held:
            size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + 2**20, resource.RLIM_INFINITY))
            with contextlib.suppress(MemoryError):
                while True:
                    self.held.append(numpy.empty(2**17))
        return super().to_numpy(array)
"""


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


@pytest.mark.slow
@pytest.mark.skipif(not MEMINFO.exists(), reason="limits as Linux has them")
def test_memory_taken_away_in_the_second_epoch_leaves_a_checkpoint(command, tmp_path):
    """The run cannot be saved: safetensors would end the process where it gets no memory."""
    environment = write_plug_in(tmp_path, "glass = glass:GlassBackend", glass=SHRINKING)
    environment["OPENBLAS_NUM_THREADS"] = "1"
    run = tmp_path / "run"
    given = ("--hidden", "1500,1500", "--epochs", 3, "--batch-size", 512)
    with running("train", *given, "--backend", "glass", "--output", run, env=environment) as child:
        _, err = child.communicate(timeout=300)
    assert child.returncode == 3, err
    kept, ended = err.splitlines()
    assert kept.startswith(f"Warning: --output {run} cannot be written: out of memory")
    assert kept.endswith(f"; --resume {run} goes on from its last checkpoint")
    assert ended.startswith("Error: out of memory: ")
    outcome = command("train", "--quiet", "--resume", run, "--backend", "numpy")
    assert (outcome.code, outcome.err) == (0, "")  # no word of a beginning
    assert json.loads((run / "summary.json").read_text())["epochs"] == 3


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


@pytest.mark.parametrize(
    "fault", ["raise OSError('libglass.so: cannot open shared object file')", "1 / 0", "import x_y"]
)
def test_a_library_that_cannot_be_imported_ends_with_3(command, glass, fault):
    glass(fault)
    outcome = command("train", "--backend", "glass")
    assert (outcome.code, outcome.out) == (3, "")
    assert only_line(outcome).startswith("Error: backend glass is not available: it ")
