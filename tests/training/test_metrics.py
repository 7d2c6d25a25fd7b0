"""Metrics by hand and against scikit-learn, and what `evaluate` makes of them."""

import numpy as np
import pytest

from pluggable_mlp import MLP, get_backend
from pluggable_mlp.namespaces import ARITHMETICS, arithmetic_namespace
from pluggable_mlp.training.evaluation import correct_labels, correct_predictions, evaluate, r2
from pluggable_mlp.training.examples import make_examples
from pluggable_mlp.training.metrics import roc_auc

LOGITS = np.asarray([[0.0, 3.0, 1.0], [5.0, -1.0, 2.0], [1.0, 2.0, 3.0], [-3.0, -2.0, -1.0]])
LABELS = np.asarray([1, 0, 0, 2])  # the third is wrong


@pytest.mark.parametrize(
    "first_is_right", [True, False], ids=["the first wins", "the last is right"]
)
def test_of_equal_logits_the_first_counts_as_the_larger(backend, first_is_right):
    """A tie between places 0 and 1, and the label is one or the other."""
    logits = backend.asarray(np.asarray([[1.0, 1.0, 0.0]]))
    labels = backend.asarray([0 if first_is_right else 1])
    assert bool(correct_predictions(backend.xp, logits, labels)[0]) == first_is_right


@pytest.mark.parametrize("rows", [False, True], ids=["indices", "rows"])
def test_leading_axes_are_networks(backend, rows):
    logits = np.stack([LOGITS, -LOGITS])  # the second has its largest where the first is smallest
    of = np.eye(3)[LABELS] if rows else LABELS
    correct = correct_predictions(
        backend.xp, backend.asarray(logits), backend.asarray(np.stack([of, of]))
    )
    assert backend.to_numpy(correct).sum(axis=1).tolist() == [3, 1]


def test_correct_labels_at_the_edge(backend):
    """A logit of 0, a probability of exactly 1/2, says no; so does a label of exactly 1/2."""
    logits = np.asarray([[0.0], [0.0], [2.0**-60], [2.0**-60]])
    for labels, expected in (([0, 1, 1, 0], [1, 0, 1, 0]), ([0.5] * 4, [1, 1, 0, 0])):
        given = (backend.asarray(logits), backend.asarray(labels))
        assert backend.to_numpy(correct_labels(backend.xp, *given)).tolist() == expected


@pytest.mark.parametrize("off", [0.0, 1.0])
def test_r2_of_constant_targets(backend, off):
    targets = np.full((4, 1), 2.0)
    ours = r2(backend.xp, backend.asarray(targets + off), backend.asarray(targets))
    assert float(ours) == 1.0 - off


@pytest.fixture
def metrics():
    return pytest.importorskip("sklearn.metrics")


def moved(xp, backend, *arrays):
    """The arrays of the host on the backend, as arrays of the namespace."""
    return [xp.asarray(backend.asarray(array)) for array in arrays]


@pytest.mark.parametrize("name", ARITHMETICS)
@pytest.mark.parametrize("outputs", [1, 3])
def test_r2(backend, metrics, outputs, name):
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(40, outputs))
    predictions = targets + 0.3 * rng.normal(size=(40, outputs))
    weights = rng.uniform(0.5, 2.0, size=40)
    xp = arithmetic_namespace(name, backend.xp)
    for given in (targets, targets[:, 0]) if outputs == 1 else (targets,):
        arrays = moved(xp, backend, predictions, given)
        # Sums of 40 terms of one sign: at most 40 roundings, doubled for theirs.
        ours = float(r2(xp, *arrays))
        assert abs(ours - metrics.r2_score(targets, predictions)) <= 160 * 2.0**-53
        ours = float(r2(xp, *arrays, *moved(xp, backend, weights)))
        theirs = metrics.r2_score(targets, predictions, sample_weight=weights)
        assert abs(ours - theirs) <= 160 * 2.0**-53


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "sigmoid_cross_entropy"])
def test_accuracy_counts_examples_by_their_weights(backend, metrics, loss):
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(40, 2)), rng.choice([0.0, 0.1, 0.7], size=40)
    mlp = MLP([2, 3], loss=loss)
    labels = rng.integers(0, 3, size=40) if "soft" in loss else rng.integers(0, 2, size=(40, 3))
    parameters = mlp.initialize(seed=0, backend=backend, dtype="float64")
    given = {"backend": backend, "dtype": "float64", "sample_weight": weights}
    examples = make_examples(mlp, x, labels, **given)
    found = evaluate(mlp, parameters, examples, backend=backend, arithmetic="native", batch_size=16)
    own = backend.to_numpy(mlp.predict(parameters, backend.asarray(x)))
    expected = metrics.accuracy_score(labels, own, sample_weight=weights)
    assert 0.1 < expected < 0.9
    assert found["accuracy"] == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("weight", [1e-36, 1e34])
def test_the_unit_of_weights_does_not_count(weight):
    rng, backend = np.random.default_rng(0), get_backend("numpy")
    x, y = rng.normal(size=(12, 2)), rng.normal(size=(12, 1)) * 0.01
    mlp = MLP([2, 1], loss="squared_error")
    parameters = mlp.initialize(seed=0, backend=backend)
    place = {"backend": backend, "dtype": "float32"}
    weighted = make_examples(mlp, x, y, sample_weight=np.full(12, weight), **place)
    found, expected = (
        evaluate(mlp, parameters, of, backend=backend, arithmetic="native", batch_size=16)
        for of in (weighted, make_examples(mlp, x, y, **place))
    )
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("units", [None, (3.0, 0.5, 100.0)])
def test_measures_of_numbers_count_examples_by_their_weights(backend, metrics, units):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 2)), rng.normal(size=(40, 3))
    weights = rng.choice([0.0, 0.1, 0.7], size=40)
    mlp = MLP([2, 3], loss="huber")
    parameters = mlp.initialize(seed=0, backend=backend, dtype="float64")
    place = {"backend": backend, "arithmetic": "native"}
    examples = make_examples(mlp, x, y, backend=backend, dtype="float64", sample_weight=weights)
    found = evaluate(mlp, parameters, examples, **place, batch_size=16, units=units)
    own = backend.to_numpy(mlp.predict(parameters, backend.asarray(x)))
    expected = metrics.r2_score(y, own, sample_weight=weights)
    assert found["r2"] == pytest.approx(expected, abs=1e-14)
    unit = np.asarray(units or 1.0)
    expected = metrics.mean_absolute_error(unit * y, unit * own, sample_weight=weights)
    assert found["mean_absolute_error"] == pytest.approx(expected, rel=1e-14)


SCORERS = {
    ("classes", 2): {"neg_log_loss": "log_loss", "roc_auc": "roc_auc"},
    ("classes", 4): {"log_loss": "log_loss", "roc_auc_ovr": "roc_auc", "accuracy": "accuracy"},
    ("labels", 3): {"roc_auc": "roc_auc", "accuracy": "accuracy"},
    ("numbers", 2): {
        "neg_mean_squared_error": "mean_squared_error",
        "squared_error": "mean_squared_error",
        "absolute_error": "mean_absolute_error",
    },
}
LOSS = {"classes": "softmax_cross_entropy", "labels": "sigmoid_cross_entropy", "numbers": "huber"}


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize(
    ("kind", "outputs", "metric"), [(*of, name) for of, names in SCORERS.items() for name in names]
)
def test_the_measure_of_a_metric_is_scikit_learns(
    backend, metrics, kind, outputs, metric, is_weighted, arithmetic
):
    """Reproducible ones of inputs of few values: natively, equal rows may differ by rounding."""
    rng, decimals = np.random.default_rng(0), 0 if arithmetic == "reproducible" else 9
    x, weights = rng.normal(size=(60, 2)).round(decimals), rng.choice([0.0, 0.25, 2.0], size=60)
    mlp = MLP([2, outputs], loss=LOSS[kind])
    draws = {
        "classes": rng.integers(0, outputs, 60), "labels": rng.integers(0, 2, (60, outputs)),
        "numbers": rng.normal(size=(60, outputs)),
    }  # fmt: skip
    y, own_weights = draws[kind], weights if is_weighted else None
    host, parameters = (
        mlp.initialize(seed=1, backend=of, dtype="float64")
        for of in (get_backend("numpy"), backend)
    )
    place = {"backend": backend, "dtype": "float64", "arithmetic": arithmetic}
    examples = make_examples(mlp, x, y, sample_weight=own_weights, **place)
    del place["dtype"]
    found = evaluate(mlp, parameters, examples, **place, batch_size=16, metric=metric)
    answer = mlp.predict if kind == "numbers" or metric == "accuracy" else mlp.predict_proba
    said = answer(host, x, arithmetic=arithmetic)
    said = said[:, 1] if (kind, outputs, metric) == ("classes", 2, "roc_auc") else said
    name = SCORERS[kind, outputs][metric]
    score = getattr(
        metrics, {"accuracy": "accuracy_score", "roc_auc": "roc_auc_score"}.get(name, name)
    )
    more = {"multi_class": "ovr"} if metric == "roc_auc_ovr" else {}
    expected = score(y, said, sample_weight=own_weights, **more)
    assert next(iter(found)) == name
    assert found[name] == pytest.approx(expected, rel=1e-12)


def test_the_area_of_probabilities_that_are_nan_is_nan():
    p = np.asarray([[0.5, 0.5], [np.nan, np.nan], [0.25, 0.75]])
    assert np.isnan(roc_auc(p, np.asarray([0, 1, 1]), None))
