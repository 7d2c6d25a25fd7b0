"""`--backend cupy`, of two devices: what is listed, and where memory ends.

That runs have the bits of NumPy: test_verify.py, test_resume.py.
"""

import re
from types import SimpleNamespace

import pytest

from tests.cli.saved_runs import told as outcome_of

pytestmark = pytest.mark.usefixtures("cupy_backend")

GIVEN = ("--hidden", 12, "--batch-size", 256, "--arithmetic", "reproducible", "--quiet")
GIVEN += ("--epochs", 3)


@pytest.fixture
def memory():
    """The memory of the first device, whose `limit` counts what is in use, not what is kept."""
    import cupy

    cupy.cuda.Device(0).use()  # a run before may have left another one current
    pool, memory = cupy.cuda.MemoryPool(), SimpleNamespace(limit=None)
    memory.used = pool.used_bytes

    def allocate(size):
        used = pool.used_bytes()
        if memory.limit is not None and used + size > memory.limit:
            raise cupy.cuda.memory.OutOfMemoryError(size, used, memory.limit)
        return pool.malloc(size)

    cupy.cuda.set_allocator(allocate)
    yield memory
    cupy.cuda.set_allocator(cupy.get_default_memory_pool().malloc)
    cupy.cuda.Device(0).use()


def test_its_devices_are_listed_and_others_not_available(command):
    listed = command("backends").out
    assert any(line.split() == ["cupy", "yes", "14.2.0", "cuda:0,", "cuda:1"]
               for line in listed.splitlines())  # fmt: skip
    outcome = command("train", "--backend", "cupy:2")
    assert outcome.code == 3
    assert "there is no CUDA device 2: this machine has 2; choose one of cuda:0, " in outcome.err


def test_too_large_a_network_ends_with_3_and_sizes(command, tmp_path, memory):
    memory.limit = limit = 2**20
    given = ("--hidden", 9000, "--backend", "cupy", "--output", tmp_path / "run")
    outcome = command("train", *given)
    assert (outcome.code, outcome.out) == (3, "")
    weights = 64 * 9000 * 4
    assert f"Error: out of memory: Out of memory allocating {weights:,} bytes (" in outcome.err
    sizes = rf"limit set to: {limit:,} bytes\); [0-9.]+ GiB of [0-9.]+ GiB on the GPU"
    assert re.search(sizes, outcome.err)
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_run_out_of_memory_is_resumed(command, told, tmp_path, memory, monkeypatch, cupy_backend):
    """From the end of the second epoch on, nothing more fits on the device."""
    synchronize, epochs = type(cupy_backend).synchronize, []

    def filling(self):
        synchronize(self)
        epochs.append(self)
        if len(epochs) == 2:
            memory.limit = memory.used()

    monkeypatch.setattr(type(cupy_backend), "synchronize", filling)
    run, whole = tmp_path / "run", tmp_path / "whole"
    outcome = told("train", *GIVEN, "--backend", "cupy", "--output", run)
    assert outcome.code == 3
    assert "Error: out of memory: Out of memory allocating " in outcome.err
    assert f"; --resume {run} goes on from its last checkpoint" in outcome.err
    resumed = command("train", "--quiet", "--resume", run, "--backend", "numpy")
    assert (resumed.code, resumed.err) == (0, "")
    assert command("train", *GIVEN, "--output", whole).code == 0
    assert outcome_of(run) == outcome_of(whole)
