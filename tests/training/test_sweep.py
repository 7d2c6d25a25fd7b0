"""A sweep: each network is what `train` makes of its settings alone."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

from pluggable_mlp import (
    MLP,
    SGD,
    DivergenceError,
    EarlyStopping,
    Periodic,
    PiecewiseLinear,
    Sweep,
    get_backend,
    make_optimizer,
    make_schedule,
    sweep,
    train,
)
from pluggable_mlp.training.evaluation import evaluate
from pluggable_mlp.training.examples import make_examples

_RNG = np.random.default_rng(1)
X = _RNG.normal(size=(43, 4))
LABELS = (X[:, 0] * X[:, 1] > 0).astype(np.int64)
HELD = _RNG.normal(size=(19, 4)), _RNG.integers(0, 2, 19)
PIXELS = _RNG.integers(0, 256, (43, 4)).astype(np.uint8)
RATES = [0.1, 0.5, 0.02]

# The network, the optimizer, the settings of each network, what else.
CASES = {
    "sgd": ({}, "sgd", [{"learning_rate": r, "seed": s} for s, r in enumerate(RATES)], {}),
    "momentum, decay, dropout": (
        {"norm": "layer"},
        "sgd",
        [
            {"learning_rate": r, "momentum": 0.9, "weight_decay": d, "dropout": p, "seed": s}
            for r, d, p, s in zip(RATES, (0.0, 0.1, 0.3), (0.5, 0.0, 0.2), (2, 2**40 + 1, 7),
                                  strict=True)
        ],
        {"sample_weight": np.arange(43.0)},
    ),
    "adamw, schedules": (
        {"norm": "batch", "activation": "relu", "input_dropout": 0.1},
        "adamw",
        [
            {"learning_rate": lambda t, r=r: r / (t + 1), "weight_decay": r, "clip_norm": 0.5,
             "average": 0.9, "seed": 3 * s}
            for s, r in enumerate(RATES)
        ],
        {},
    ),
    "adam, decay, pixels": (
        {}, "adam", [{"learning_rate": r, "weight_decay": r, "dropout": r} for r in RATES],
        {"scale": 1 / 256, "shuffle": False, "class_weight": [1.0, 3.0]},
    ),
    "lion": ({}, "lion", [{"weight_decay": d, "learning_rate": 0.01} for d in (0.0, 0.2)], {}),
    "muon": ({"input_noise": 0.1}, "muon", [{"learning_rate": r, "seed": 9} for r in RATES], {}),
    "one network, one batch": (
        {"sizes": [4, 4, 4, 4]},  # JAX compiles each operation for each shape
        "rmsprop",
        [{"dropout": 0.2, "seed": 4}],
        {"batch_size": 99},
    ),
}  # fmt: skip


def swept_and_alone(case, backend, arithmetic, dtype="float32", most=None, **others):
    """The sweep of a case, and the training of each of its networks, or of so many."""
    of_mlp, optimizer, settings, more = CASES[case]
    settings = settings[:most]
    mlp, x = MLP(**{"sizes": [4, 6, 5, 2], **of_mlp}), PIXELS if "scale" in more else X
    given = {"backend": backend, "arithmetic": arithmetic, "dtype": dtype}
    given |= {"epochs": 3, "batch_size": 16, **more, **others}
    found = sweep(mlp, x, LABELS, settings, optimizer=optimizer, **given)
    alone = []
    for one in settings:
        of_optimizer = {name: of for name, of in one.items() if name not in ("dropout", "seed")}
        alone.append(
            train(
                replace(mlp, dropout=one.get("dropout", 0.0)), x, LABELS, seed=one.get("seed", 0),
                optimizer=make_optimizer(optimizer, **of_optimizer), **given,
            )
        )  # fmt: skip
    return found.networks, alone


def check_the_same_bits(case, backend):
    for one, expected in zip(*swept_and_alone(case, backend, "reproducible"), strict=True):
        assert one.history == expected.history
        check_parameters(backend, one.parameters, expected.parameters, 0.0)


def check_parameters(backend, found, expected, tolerance):
    for layer, like in zip(found, expected, strict=True):
        assert [*layer] == [*like]
        for name in layer:
            one, other = (backend.to_numpy(of[name]) for of in (layer, like))
            np.testing.assert_allclose(one, other, rtol=0.0, atol=tolerance)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["numpy", "torch", "dpnp"])
def test_each_network_has_the_bits_that_it_has_alone(name, case):
    pytest.importorskip(name, reason=f"{name} is not installed")
    check_the_same_bits(case, get_backend(name))


@pytest.mark.parametrize("case", [case for case in CASES if case != "adamw, schedules"])
def test_native_results_agree_up_to_rounding(case):
    """Batch normalization aside: gradients of biases before it are roundings alone."""
    backend = get_backend("numpy")
    for one, expected in zip(*swept_and_alone(case, backend, "native", "float64"), strict=True):
        np.testing.assert_allclose(one.history, expected.history, rtol=1e-9)
        check_parameters(backend, one.parameters, expected.parameters, 1e-9)
        # No view keeps the stack of all networks alive.
        assert all(array.base is None for layer in one.parameters for array in layer.values())


@pytest.mark.parametrize("held", [pytest.param(None, marks=pytest.mark.slow), HELD])
def test_each_network_stops_when_it_would_alone(held):
    """And is the same whatever the others do."""
    backend, mlp = get_backend("numpy"), MLP([4, 6, 2])
    given = {"backend": backend, "arithmetic": "reproducible", "epochs": 25, "batch_size": 16}
    settings = [{"learning_rate": r, "seed": s} for r, s in [(8.0, 1), (0.5, 2), (3.0, 3)]]
    found = sweep(mlp, X, LABELS, settings, validation=held, patience=2, **given)
    watch = None
    if held is not None:
        data = {"backend": backend, "arithmetic": "reproducible"}
        examples = make_examples(mlp, *held, dtype="float32", **data)

        def watch(epoch):
            return evaluate(mlp, epoch.parameters, examples, **data)["loss"]

    lengths = set()
    for one, own in zip(found.networks, settings, strict=True):
        stop = EarlyStopping(2, watch)
        expected = train(
            mlp, X, LABELS, seed=own["seed"], callbacks=[stop],
            optimizer=make_optimizer("sgd", learning_rate=own["learning_rate"]), **given,
        )  # fmt: skip
        assert one.history == expected.history
        assert (one.epoch, one.loss) == (stop.best_epoch, stop.best_loss)
        assert one.ended == ("patience" if len(one.history) < 25 else "epochs")
        check_parameters(backend, one.parameters, stop.parameters, 0.0)
        lengths.add(len(one.history))
        if held is not None:
            assert one.scores["loss"] == one.loss
            assert 0.0 <= one.scores["accuracy"] <= 1.0
    assert len(lengths) > 1
    assert found.best.loss == min(one.loss for one in found.networks)


@pytest.mark.parametrize(
    "embedding", [Periodic(3, frequencies=5), PiecewiseLinear([[-1.0, 0.0, 1.0]] * 3)], ids=repr
)
def test_networks_with_an_embedding_share_rows(embedding):
    """Three of four inputs have one; the networks are what each is alone."""
    backend, mlp = get_backend("numpy"), MLP([4, 6, 2], embedding=embedding)
    given = {"backend": backend, "arithmetic": "reproducible", "epochs": 2, "batch_size": 16}
    settings = [{"learning_rate": r, "seed": s} for s, r in enumerate(RATES)]
    found = sweep(mlp, X, LABELS, settings, validation=HELD, **given)
    for one, own in zip(found.networks, settings, strict=True):
        optimizer = make_optimizer("sgd", learning_rate=own["learning_rate"])
        expected = train(mlp, X, LABELS, seed=own["seed"], optimizer=optimizer, **given)
        assert one.history == expected.history
        assert one.scores["loss"] == one.loss


@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered")
@pytest.mark.parametrize("decay", [0.0, 1e3], ids=["loss", "parameters"])  # which is infinite first
@pytest.mark.parametrize("arithmetic", ["native", "reproducible"])
def test_a_network_that_diverges_leaves_the_others_alone(arithmetic, decay):
    rates = (0.5, 0.0), (1e38, decay), (0.1, 0.0)
    settings = [{"learning_rate": rate, "weight_decay": d} for rate, d in rates]
    optimizers = [make_optimizer("sgd", **of) for of in settings]
    given = {"backend": get_backend("numpy"), "arithmetic": arithmetic, "epochs": 4}
    mlp = MLP([4, 3, 2], activation="relu")
    found = sweep(mlp, X, LABELS, settings, **given)
    assert [one.ended for one in found.networks] == ["epochs", "diverged", "epochs"]
    assert all(map(math.isfinite, found.networks[1].history))
    with pytest.raises(DivergenceError) as caught:
        train(mlp, X, LABELS, optimizer=optimizers[1], **given)
    alone = [
        train(mlp, X, LABELS, optimizer=optimizers[0], **given),
        caught.value.reached,
        train(mlp, X, LABELS, optimizer=optimizers[2], **given),
    ]
    tolerance = 0.0 if arithmetic == "reproducible" else 1e-6
    for one, expected in zip(found.networks, alone, strict=True):
        np.testing.assert_allclose(one.history, expected.history, rtol=tolerance)
        scale = 1e38 if one.ended == "diverged" else 1.0
        check_parameters(given["backend"], one.parameters, expected.parameters, tolerance * scale)


@pytest.mark.parametrize(
    ("settings", "more", "error"),
    [
        ([], {}, r"settings is \[\], expected a list with a dict for each network"),
        ([0.1], {}, r"settings\[0\] is 0.1, expected a dict"),
        ([{"momentum": 0.9}, {"momentum": 0.8}], {}, r"settings\[1\] has momentum=0.8, .* 0.9"),
        ([{"weight_decay": 0.9}, {}], {}, r"settings\[1\] has no weight_decay"),
        ([{}, {"rate": 1}], {}, r"settings\[1\] takes no rate"),
        ([{}, {"dropout": 1.5}], {}, r"settings\[1\]: dropout is 1.5"),
        ([{}, {"seed": -1}], {}, r"settings\[1\]: seed is -1"),
        ([{"momentum": -1}], {}, r"settings\[0\]: momentum is -1"),
        ([{}, {}], {"optimizer": "lbfgs"}, "optimizer is 'lbfgs', .* train such networks alone"),
        (
            [{"learning_rate": 0.1}, {"learning_rate": make_schedule("plateau", 0.1)}],
            {},
            r"settings\[1\] has learning_rate=Plateau.*, which follows the losses",
        ),
        ([{"x": 1}], {"optimizer": "adamm"}, "^optimizer is 'adamm', expected"),
        ([{}], {"validation": HELD[0]}, "validation is a ndarray, expected a tuple"),
        ([{}], {"validation": (*HELD, None)}, "validation is a tuple of 3, expected a tuple"),
        ([{}], {"patience": 0}, "^patience is 0"),
    ],
)
def test_what_cannot_be_swept_is_refused(settings, more, error):
    with pytest.raises((ValueError, TypeError), match=error):
        sweep(MLP([4, 3, 2]), X, LABELS, settings, backend=get_backend("numpy"), **more)


@dataclass(frozen=True)
class Tripled(MLP):
    """A subclass of which a step computes three times the gradients."""

    def loss_gradients_and_buffers(self, *batch):
        loss, gradients, buffers = super().loss_gradients_and_buffers(*batch)
        tripled = [{name: 3.0 * of for name, of in layer.items()} for layer in gradients]
        return loss, tripled, buffers


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_subclass_keeps_its_methods(dropout):
    given = {"backend": get_backend("numpy"), "arithmetic": "reproducible", "epochs": 1}
    mlp = Tripled([4, 3, 2], dropout=dropout)
    alone = train(mlp, X, LABELS, optimizer=SGD(0.1), **given)
    settings = [{"learning_rate": rate} for rate in (0.1, 0.2)]
    found = sweep(mlp, X, LABELS, settings, **given).networks[0]
    check_parameters(given["backend"], found.parameters, alone.parameters, 0.0)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_network_without_a_loss_is_not_the_best(order):
    found = sweep(MLP([4, 3, 2]), X, LABELS, [{}, {}], backend=get_backend("numpy"), epochs=1)
    found.networks[0].history = [math.nan]
    best = Sweep([found.networks[place] for place in order]).best
    assert best is found.networks[1]
