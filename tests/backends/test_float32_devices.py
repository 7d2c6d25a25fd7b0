"""Devices without float64, such as Apple's GPUs: they train natively in float32."""

import numpy as np
import pytest

from pluggable_mlp import MLP, get_backend, train
from pluggable_mlp.network.losses import LOSSES
from pluggable_mlp.testing import Grade, check_backend
from pluggable_mlp.testing.conformance import CHECKS
from pluggable_mlp.training.recipes import RECIPES
from tests.cli.conftest import ended

SPEC = "array_api_strict:no_float64"  # which refuses every array of float64
X = np.random.default_rng(0).normal(size=(48, 4))
NUMBERS, LABELS = np.abs(X[:, 0]), (X[:, 1] > 0).astype(np.int64)


def test_it_agrees_with_numpy(monkeypatch):
    for name in [name for name in CHECKS if name.startswith("recorded run")]:
        monkeypatch.delitem(CHECKS, name)  # of reproducible arithmetic
    assert check_backend(get_backend(SPEC)).grade >= Grade.AGREES


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("block_size", [None, 20])
def test_every_loss_trains_on_data_of_float64(loss, block_size):
    targets = {"softmax_cross_entropy": LABELS, "sigmoid_cross_entropy": LABELS[:, None] * 1.0}
    options = {"sample_weight": NUMBERS, "block_size": block_size, "epochs": 3, "batch_size": 16}
    mlp = MLP([4, 5, 2 if loss.startswith("softmax") else 1], loss=loss, dropout=0.25)
    y = targets.get(loss, NUMBERS[:, None])
    ways = [train(mlp, X, y, backend=get_backend(spec), **options) for spec in (SPEC, "numpy")]
    np.testing.assert_allclose(*(way.history for way in ways), rtol=1e-4)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_command_line_trains_and_predicts(recipe, tmp_path, capsys):
    table, run = tmp_path / "table.csv", tmp_path / "run"
    rows = [
        f"{a},{b},{'yes' if label else 'no'}" for (a, b, *_), label in zip(X, LABELS, strict=True)
    ]
    table.write_text("\n".join(["a,b,target", *rows]))
    how = ["--recipe", recipe, "--epochs", "1", "--hidden", "8", "--quiet", "--output", str(run)]
    assert ended("train", "--data", str(table), "--backend", SPEC, *how) == 0
    assert ended("predict", str(run), str(table), "--backend", SPEC) == 0
    assert ended("compare", "--backends", f"numpy,{SPEC}", "--steps", "2") == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--arithmetic", "reproducible"], "it has no float64; use the arithmetic 'native' there"),
        (["--dtype", "float64"], "no_float64 has no float64: use float32 (dtype='float32'"),
        (["--backend", "array_api_strict:no_x64"], "'no_x64': has no int64, which labels are"),
    ],
)
def test_what_needs_float64_is_refused_in_a_sentence(options, message, capsys):
    assert ended("train", "--backend", SPEC, "--quiet", *options) in (2, 3)
    assert message in capsys.readouterr().err
