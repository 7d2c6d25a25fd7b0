"""What the summary of a run says, field by field, and that a damaged model is noticed."""

import hashlib
import json
import platform
import shutil
from importlib.metadata import version

import numpy as np
import pytest
from safetensors.numpy import load_file

from pluggable_mlp.backends import get_backend
from pluggable_mlp.data import load_dataset
from pluggable_mlp.options import Options
from pluggable_mlp.runs.folder import RunFolder
from pluggable_mlp.runs.run import Run
from tests.cli.saved_runs import lines


def canonical_sha256(content) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run in which no value is the default."""
    pytest.importorskip("array_api_strict")
    settings = Options(
        hidden=(12,), optimizer="adamw:beta1=0.8", activation="tanh", batch_size=256, epochs=2,
        dtype="float64", arithmetic="reproducible", seed=3, clip_norm=5.0, schedule="cosine",
        warmup=2, dropout=0.125, input_dropout=0.0625, input_noise=0.75, norm="layer",
        label_smoothing=0.25, class_weight="balanced",
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("runs") / "run"
    run = Run.of(settings, get_backend("array_api_strict:device1"))
    with RunFolder(folder, run):
        list(run.train())
    return folder


def test_every_field_of_the_summary(run):
    summary = json.loads((run / "summary.json").read_text())
    first, last = lines(run)
    config = json.loads((run / "config.json").read_text())
    tensors = load_file(run / "model.safetensors")
    order = ("0.W", "0.b", "1.beta", "1.gamma", "2.W", "2.b")
    assert set(tensors) == set(order)
    loss, accuracy, f1 = measured(tensors)
    seconds = first["seconds"] + last["seconds"]
    assert summary == {
        "backend": "array_api_strict",
        "device": "device1",
        "processes": 1,
        "versions": {
            "pluggable-mlp": version("pluggable-mlp"),
            "python": platform.python_version(),
            "array-api-strict": version("array-api-strict"),
            "numpy": np.__version__,
        },
        "arithmetic": "reproducible",
        "dtype": "float64",
        "seed": 3,
        "task": "classification",
        "epochs": 2,
        "kept_epoch": 2,
        "train_loss": last["train_loss"],
        "test_loss": pytest.approx(loss, rel=1e-12),
        "test_accuracy": accuracy,
        "test_macro_f1": pytest.approx(f1, abs=1e-15),
        "seconds": seconds,
        "examples_per_second": pytest.approx(2 * 1541 / seconds),
        "config_sha256": canonical_sha256(config),
        "parameters_sha256": hashlib.sha256(
            b"".join(tensors[name].astype("<f8").tobytes() for name in order)
        ).hexdigest(),
    }


def measured(tensors) -> tuple[float, float, float]:
    """Return the loss, the accuracy and the macro F1 on the digits' test part, by NumPy alone."""
    digits = load_dataset("digits")
    z = digits.test.inputs / 16 @ tensors["0.W"] + tensors["0.b"]
    z = (z - z.mean(1, keepdims=True)) / np.sqrt(z.var(1, keepdims=True) + 1e-5)
    z = np.tanh(z * tensors["1.gamma"] + tensors["1.beta"]) @ tensors["2.W"] + tensors["2.b"]
    logs = z - np.log(np.exp(z).sum(1, keepdims=True))
    targets = 0.75 * np.eye(10)[digits.test.targets] + 0.025
    right = z.argmax(1) == digits.test.targets
    f1 = [
        2 * (right & (z.argmax(1) == k)).sum()
        / ((z.argmax(1) == k).sum() + (digits.test.targets == k).sum())
        for k in range(10)
    ]  # fmt: skip
    return float(-(targets * logs).sum(1).mean()), float(right.mean()), float(np.mean(f1))


def test_a_flipped_bit_of_the_model_is_noticed(command, run, tmp_path):
    folder = shutil.copytree(run, tmp_path / "run")
    model = bytearray((folder / "model.safetensors").read_bytes())
    model[-8 * 500] ^= 1
    (folder / "model.safetensors").write_bytes(model)
    np.save(tmp_path / "x.npy", load_dataset("digits").test.inputs[:3])
    for arguments in (
        ("evaluate", folder),
        ("predict", folder, tmp_path / "x.npy"),
        ("verify", folder),
    ):
        outcome = command(*arguments)
        assert (outcome.code, outcome.out) == (2, "")
        assert "model.safetensors is damaged: its contents do not match its SHA-256" in outcome.err
