"""`--backend cupy`, of two devices: runs trained, resumed, compared, verified, used."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from pluggable_mlp import load_dataset
from tests.cli.saved_runs import content
from tests.cli.saved_runs import told as outcome_of

pytestmark = pytest.mark.usefixtures("cupy_backend")

GIVEN = ("--hidden", 12, "--batch-size", 256, "--arithmetic", "reproducible", "--quiet")


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


@pytest.fixture
def filling(monkeypatch, memory, cupy_backend):
    """Let so many bytes be left on the device after so many epochs."""
    synchronize, epochs = type(cupy_backend).synchronize, []

    def fill(after, left):
        def then(self):
            synchronize(self)
            epochs.append(self)
            if len(epochs) == after:
                memory.limit = memory.used() + left

        monkeypatch.setattr(type(cupy_backend), "synchronize", then)

    return fill


@pytest.fixture
def trained(command, tmp_path):
    """Train with `GIVEN` on a backend; return the folder."""

    def train(backend, epochs):
        folder = tmp_path / f"{epochs}-{backend.replace(':', '')}"
        given = ("--epochs", epochs, "--backend", backend, "--output", folder)
        outcome = command("train", *GIVEN, *given)
        assert (outcome.code, outcome.err) == (0, "")
        return folder

    return train


def test_a_run_has_the_bits_of_numpy(trained):
    here, there = (trained(backend, 2) for backend in ("numpy", "cupy:1"))
    summary = content(there, "summary.json")
    assert (summary["backend"], summary["device"]) == ("cupy", "cuda:1")
    assert outcome_of(there) == outcome_of(here)


@pytest.mark.parametrize(("made", "verified"), [("numpy", "cupy"), ("cupy", "numpy")])
def test_a_run_is_verified(command, trained, made, verified):
    outcome = command("verify", trained(made, 2), "--backend", verified)
    assert (outcome.code, outcome.err) == (0, "")
    place = {"numpy": "cpu", "cupy": "cuda:0"}[verified]
    assert outcome.out.startswith(f"same bits: 2 epochs on {verified} ({place}) in rep")


@pytest.mark.parametrize(("first", "then"), [("numpy", "cupy:1"), ("cupy", "numpy")])
def test_a_run_is_resumed(command, trained, first, then):
    run = trained(first, 1)
    outcome = command("train", "--quiet", "--resume", run, "--epochs", 3, "--backend", then)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome_of(run) == outcome_of(trained("numpy", 3))


@pytest.mark.parametrize("arithmetic", ["native", "reproducible"])
def test_it_agrees_with_numpy(command, arithmetic):
    given = ("--steps", 2, "--arithmetic", arithmetic, "--hidden", 12)
    outcome = command("compare", "--backends", "numpy,cupy,cupy:1", *given)
    assert (outcome.code, outcome.err) == (0, "")


@pytest.mark.parametrize("used", ["evaluate", "predict"])
def test_a_run_is_used_on_either(command, trained, tmp_path, used):
    np.save(tmp_path / "x.npy", load_dataset("digits").test.inputs)
    given = [tmp_path / "x.npy"] if used == "predict" else []
    run = trained("cupy", 1)
    here, there = (
        command(used, run, *given, "--backend", backend) for backend in ("numpy", "cupy:1")
    )
    assert (here.code, there.code) == (0, 0), there.err
    assert there.out.replace("cupy", "numpy").replace("cuda:1", "cpu") == here.out


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


def test_a_run_out_of_memory_is_resumed(command, told, trained, tmp_path, filling):
    """From the end of the second epoch on, nothing more fits on the device."""
    filling(after=2, left=0)
    run = tmp_path / "run"
    given = ("--epochs", 3, "--backend", "cupy", "--output", run)
    outcome = told("train", *GIVEN, *given)
    assert outcome.code == 3
    assert "Error: out of memory: Out of memory allocating " in outcome.err
    assert f"; --resume {run} goes on from its last checkpoint" in outcome.err
    resumed = command("train", "--quiet", "--resume", run, "--backend", "numpy")
    assert (resumed.code, resumed.err) == (0, "")
    assert outcome_of(run) == outcome_of(trained("numpy", 3))


def test_a_step_out_of_memory_leaves_enough_to_measure_and_save_the_run(command, tmp_path, filling):
    """A step takes all examples and more memory than is left, the 256 of the test part fit."""
    filling(after=1, left=2**20)
    run = tmp_path / "run"
    given = ("--hidden", 64, "--batch-size", 2000, "--epochs", 3, "--quiet")
    outcome = command("train", *given, "--backend", "cupy", "--output", run)
    assert outcome.code == 3
    assert outcome.err.startswith("Error: out of memory: Out of memory allocating ")
    assert outcome.err.count("\n") == 1
    assert content(run, "summary.json")["epochs"] == 1
    evaluated = command("evaluate", run, "--backend", "numpy")
    assert evaluated.code == 0


@pytest.mark.parametrize("verb", ["evaluate", "verify"])
def test_a_saved_run_that_does_not_fit_ends_with_3_and_sizes(command, trained, verb, memory):
    run = trained("numpy", 1)
    memory.limit = 1024
    outcome = command(verb, run, "--backend", "cupy")
    assert (outcome.code, outcome.out) == (3, "")
    assert outcome.err.startswith("Error: out of memory: Out of memory allocating ")
