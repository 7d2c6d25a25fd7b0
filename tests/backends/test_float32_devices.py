"""Devices without float64, such as Apple's GPUs: they train natively in float32."""

import numpy as np
import pytest
from sklearn.base import clone

from pluggable_mlp import (
    MLP,
    NORMALIZATIONS,
    SCHEDULES,
    ArithmeticUnavailable,
    Categories,
    MLPClassifier,
    MLPRegressor,
    Networks,
    Periodic,
    PiecewiseLinear,
    TableClassifier,
    TableRegressor,
    TabM,
    TabMMini,
    get_backend,
    make_optimizer,
    make_schedule,
    sweep,
    train,
)
from pluggable_mlp.network.losses import LOSSES
from pluggable_mlp.testing import Grade, check_backend
from pluggable_mlp.testing.conformance import CHECKS
from pluggable_mlp.training.examples import moved_floats
from pluggable_mlp.training.recipes import RECIPES
from tests.cli.conftest import ended

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).normal(size=(48, 4))
NUMBERS, LABELS = np.abs(X[:, 0]), (X[:, 1] > 0).astype(np.int64)


def check_training(device, mlp, y=LABELS, optimizer=None, **options):
    """Train and predict there and on NumPy, from numbers of float64: the same but for rounding."""
    found = []
    for backend in map(get_backend, (device, "numpy")):
        options = {"epochs": 3, "batch_size": 16} | options
        run = train(mlp, X, y, backend=backend, optimizer=optimizer, **options)
        x = backend.asarray(X, "float32")
        predicted = backend.to_numpy(mlp.logits(run.parameters, x))
        found.append([*run.history, *predicted.ravel()])
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)


def test_it_agrees_with_numpy(without_float64, monkeypatch):
    for name in [name for name in CHECKS if name.startswith("recorded run")]:
        monkeypatch.delitem(CHECKS, name)  # of reproducible arithmetic
    assert check_backend(get_backend(without_float64)).grade >= Grade.AGREES


@pytest.mark.parametrize("block_size", [None, 20])
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss(without_float64, loss, block_size):
    targets = {"softmax_cross_entropy": LABELS, "sigmoid_cross_entropy": LABELS[:, None] * 1.0}
    mlp = MLP([4, 5, 2 if loss.startswith("softmax") else 1], loss=loss, dropout=0.25)
    y = targets.get(loss, NUMBERS[:, None])
    check_training(without_float64, mlp, y, sample_weight=NUMBERS, block_size=block_size)


@pytest.mark.parametrize(
    "network",
    [
        *({"norm": norm} for norm in NORMALIZATIONS),
        {"embedding": PiecewiseLinear([[-1.0, 0.0, 1.0]] * 4)},
        {"embedding": Periodic(4)},
        {"category_embedding": Categories((2,)), "parametrization": "ntk", "input_scaling": True},
        {"activation": "gelu", "parametric_activation": True},
        {"input_dropout": 0.25, "input_noise": 0.1, "output_initializer": "zeros"},
        *({"ensemble": kind(2)} for kind in (TabM, TabMMini, Networks)),
    ],
    ids=str,
)
def test_every_part_of_a_network(without_float64, network):
    check_training(without_float64, MLP([4, 5, 2], **network), class_weight="balanced")


@pytest.mark.parametrize(
    "settings",
    [
        *(
            {"learning_rate": make_schedule(name, 0.1, total_steps=9, **own)}
            for name in SCHEDULES
            for own in [{"every": 2} if name == "step" else {"warmup": 2}]
        ),
        *({name: 0.1} for name in ("weight_decay", "l1", "clip_norm", "average")),
    ],
    ids=str,
)
def test_every_schedule_and_transform(without_float64, settings):
    check_training(without_float64, MLP([4, 5, 2]), optimizer=make_optimizer("adam", **settings))


def test_numbers_in_lists_are_data(without_float64):
    mlp = MLP([1, 1], loss="squared_error")
    x, y, weight = [[0.5], [1.0]], [[0.25], [0.5]], [1.0, 0.5]
    settings = {"backend": get_backend(without_float64), "epochs": 1}
    found = train(mlp, x, y, sample_weight=weight, **settings).history
    x, y, weight = map(np.asarray, (x, y, weight))
    assert found == train(mlp, x, y, sample_weight=weight, **settings).history


def test_integers_are_inputs_of_an_estimator(without_float64):
    x = get_backend(without_float64).asarray(X.astype(np.int32))
    model = MLPClassifier((8,), max_iter=1).fit(x, LABELS)
    assert str(model.coefs_[0].dtype).endswith("float32")


def test_an_estimator_goes_on_from_float64_only_where_there_is_float64(without_float64):
    name, _, device = without_float64.partition(":")
    model = MLPClassifier((8,), max_iter=1, warm_start=True).fit(X, LABELS)
    model.set_params(backend=name, device=device or None)
    with pytest.raises(ValueError, match=f"{name} on .* has no float64: take float32 for data"):
        model.fit(X, LABELS)


def test_a_reproducible_prediction_is_refused_by_name(without_float64):
    backend, mlp = get_backend(without_float64), MLP([4, 2])
    parameters = mlp.initialize(seed=0, backend=backend)
    with pytest.raises(ArithmeticUnavailable, match="it has no float64; use the arithmetic 'nat"):
        mlp.logits(parameters, backend.asarray(X, "float32"), arithmetic="reproducible")


def test_a_sweep(without_float64):
    settings = [{"learning_rate": rate, "dropout": rate, "seed": 3} for rate in (0.1, 0.5)]
    ways = [
        sweep(MLP([4, 5, 2]), X, LABELS, settings, backend=get_backend(spec), epochs=2)
        for spec in (without_float64, "numpy")
    ]
    losses = [[network.loss for network in way.networks] for way in ways]
    np.testing.assert_allclose(*losses, rtol=1e-4)


@pytest.mark.parametrize("takes_arrays", [True, False])
@pytest.mark.parametrize(
    "model",
    [
        MLPClassifier((8,), max_iter=5, early_stopping=True),
        MLPClassifier((8,), max_iter=5, solver="lbfgs", class_weight="balanced"),
        MLPRegressor(hidden_layer_sizes=(8,), max_iter=5, n_members=2),
        *(TableClassifier(recipe, hidden=8, max_iter=2) for recipe in RECIPES),
        *(TableRegressor(recipe, hidden=8, max_iter=2) for recipe in RECIPES),
    ],
    ids=str,
)
def test_every_estimator(without_float64, model, takes_arrays):
    """From its arrays, in which they answer, or trained there on those of NumPy."""
    model = clone(model).set_params(random_state=0)
    y = NUMBERS if "Regressor" in type(model).__name__ else LABELS
    answers = clone(model).fit(X, y).predict(X)
    backend = get_backend(without_float64)
    if takes_arrays:
        x, targets = moved_floats(backend, X, "float32"), moved_floats(backend, y, "float32")
        found = clone(model).fit(x, targets).predict(x)
        found = backend.to_numpy(found)
    else:
        name, _, device = without_float64.partition(":")
        model.set_params(backend=name, device=device or None)
        found = model.fit(X, y).predict(X)
    np.testing.assert_allclose(found, answers, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_command(without_float64, recipe, tmp_path, capsys):
    table, run = tmp_path / "table.csv", str(tmp_path / "run")
    rows = [
        f"{a},{b},{'yes' if label else 'no'}" for (a, b, *_), label in zip(X, LABELS, strict=True)
    ]
    table.write_text("\n".join(["a,b,target", *rows]))
    how = ["--recipe", recipe, "--epochs", "1", "--hidden", "8", "--quiet", "--output", run]
    where = ["--backend", without_float64]
    assert ended("train", "--data", str(table), *how, *where) == 0
    assert ended("train", "--resume", run, "--quiet", *where) == 0
    assert ended("predict", run, str(table), *where) == 0
    assert ended("evaluate", run, *where) == 0
    assert ended("compare", "--backends", f"numpy,{without_float64}", "--steps", "2") == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--arithmetic", "reproducible"], "it has no float64; use the arithmetic 'native' there"),
        (["--dtype", "float64"], "has no float64: take float32 for data and dtype"),
        (["--backend", "array_api_strict:no_x64"], "'no_x64': has no int64, which labels are"),
    ],
)
def test_what_needs_float64_is_refused_in_a_sentence(without_float64, options, message, capsys):
    assert ended("train", "--backend", without_float64, "--quiet", *options) in (2, 3)
    assert message in capsys.readouterr().err
