"""A run that is killed at any moment, and resumed, ends with the bits of one that was not."""

import random
import time

import numpy as np
import pytest

from pluggable_mlp.data import load_dataset
from pluggable_mlp.runs.checkpoints import FOLDER
from tests.cli.children import running
from tests.cli.saved_runs import content, told

MANY = {
    "hidden": "40,20", "activation": "relu", "norm": "batch", "dropout": 0.2, "optimizer": "adam",
    "schedule": "plateau:patience=0,threshold=0.5", "validation": 0.2, "early-stopping": 4,
    "class-weight": "balanced", "epochs": 4, "batch-size": 64,
}  # fmt: skip


def options(**changed):
    return [f"--{name}={value}" for name, value in (MANY | changed).items()]


def trained(folder, given):
    with running("train", *given, "--output", folder) as child:
        assert child.wait(timeout=300) == 0, child.stderr.read()
    return folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("undisturbed") / "run", options())


def kill_until_done(folder, given, seed, most=100):
    """Train, and kill at a random moment after each first new checkpoint; return how often."""
    chance = random.Random(seed)
    arguments = [*given, "--output", folder, "--checkpoint-minutes", 0]
    for kills in range(most):
        before = checkpoints(folder)
        with running("train", *arguments) as child:
            while child.poll() is None and checkpoints(folder) <= before:
                time.sleep(0.002)
            time.sleep(chance.uniform(0, 0.3))
            if child.poll() is not None:
                assert child.returncode == 0, child.stderr.read()
                return kills
            child.kill()
        arguments = ["--resume", folder, "--checkpoint-minutes", 0]
    with running("train", *arguments) as child:
        assert child.wait(timeout=300) == 0, child.stderr.read()
    return most


def checkpoints(folder):
    return {path.name for path in (folder / FOLDER).glob("*.safetensors")}


@pytest.mark.slow
def test_a_run_killed_at_random_ends_with_the_same_bits(undisturbed, tmp_path):
    """With a checkpoint after every step."""
    assert kill_until_done(tmp_path / "run", options(), seed=1, most=1) == 1
    assert told(tmp_path / "run") == told(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_killed_at_many_more_moments(undisturbed, tmp_path, seed):
    kill_until_done(tmp_path / "run", options(), seed)
    assert told(tmp_path / "run") == told(undisturbed)


@pytest.mark.slow
def test_killed_while_files_are_read_in_blocks(tmp_path):
    """Blocks of two batches each; checkpoints within an epoch and within a block."""
    digits, files = load_dataset("digits"), tmp_path / "set"
    files.mkdir()
    for name, values in (("X", digits.train.inputs / 16), ("y", digits.train.targets)):
        np.save(files / f"{name}.npy", values.astype("float32" if name == "X" else "int64"))
    given = [*options(data=files, arithmetic="reproducible"), "--block-size", 128]
    whole = trained(tmp_path / "whole", given)
    assert content(whole, "config.json")["settings"]["block_size"] == 128
    for seed in range(2):
        run = tmp_path / str(seed)
        assert kill_until_done(run, given, seed, most=5) > 0
        assert told(run) == told(whole)
