"""Every loss of the table, and those with other parameters: exact values, differences, peers.

Backends against each other are in tests/consistency.
"""

import mpmath
import numpy as np
import pytest

from pluggable_mlp import MLP
from pluggable_mlp.arithmetic import ARITHMETICS, get_arithmetic
from pluggable_mlp.backends import get_backend
from pluggable_mlp.network.losses import LOSSES, Huber, Poisson, Quantile, SoftmaxCrossEntropy
from tests.network.bounded import assert_near, native, with_bounds
from tests.network.differences import central_differences, on_grid

PIECES = {
    **LOSSES,
    "softmax_cross_entropy 0.1": SoftmaxCrossEntropy(label_smoothing=0.1),
    "huber 0.25": Huber(delta=0.25),
    "quantile 0.9": Quantile(quantile=0.9),
}
REPRODUCIBLE = [name for name in ARITHMETICS if name != "native"]
BATCH, OUTPUTS = 5, 3
WEIGHTS = np.asarray([0.5, 2.0, 0.0, 1.25, 3.0])


def example(kind, seed=0):
    """z (5, 3), on the grid of the central differences, and targets of a kind."""
    rng = np.random.default_rng(seed)
    targets = {
        "classes": rng.integers(0, OUTPUTS, size=BATCH),
        "labels": rng.integers(0, 2, size=(BATCH, OUTPUTS)).astype(float),
        "numbers": rng.normal(size=(BATCH, OUTPUTS)),
        "counts": rng.poisson(2.0, size=(BATCH, OUTPUTS)).astype(float),
    }[kind]
    return on_grid(rng.normal(size=(BATCH, OUTPUTS))), targets


def elements(of_one):
    """The loss of an example as the mean over its outputs."""
    return lambda z, t: sum(of_one(a, b) for a, b in zip(z, t, strict=True)) / len(z)


def cross_entropy(smoothing):
    def of_example(z, t):
        smoothed = [(1 - smoothing) * p + smoothing / mpmath.mpf(len(z)) for p in t]
        total = sum(mpmath.exp(a) for a in z)
        return -sum(p * mpmath.log(mpmath.exp(a) / total) for a, p in zip(z, smoothed, strict=True))

    return of_example


def logistic(z, t):
    p = 1 / (1 + mpmath.exp(-z))
    return -t * mpmath.log(p) - (1 - t) * mpmath.log(1 - p)


def huber(delta):
    return lambda z, t: (
        (z - t) ** 2 / 2 if abs(z - t) <= delta else delta * (abs(z - t) - mpmath.mpf(delta) / 2)
    )


def pinball(q):
    return lambda z, t: max(q * (t - z), (q - 1) * (t - z))


EXACT = {
    "softmax_cross_entropy": cross_entropy(0),
    "softmax_cross_entropy 0.1": cross_entropy(mpmath.mpf("0.1")),
    "sigmoid_cross_entropy": elements(logistic),
    "squared": elements(lambda z, t: (z - t) ** 2),
    "absolute": elements(lambda z, t: abs(z - t)),
    "huber": elements(huber(1)),
    "huber 0.25": elements(huber(0.25)),
    "quantile": elements(pinball(mpmath.mpf("0.5"))),
    "quantile 0.9": elements(pinball(mpmath.mpf("0.9"))),
    "poisson": elements(lambda z, t: mpmath.exp(z) - t * z),
}


def exact(name, z, targets, weights):
    """The weighted mean over the batch of the losses by definition, to 50 digits."""
    if targets.ndim == 1:
        targets = np.eye(OUTPUTS)[targets]
    weights = np.ones(len(z)) if weights is None else weights
    with mpmath.workdps(50):
        losses = [
            EXACT[name]([mpmath.mpf(a) for a in row], [mpmath.mpf(b) for b in t])
            for row, t in zip(z.tolist(), targets.tolist(), strict=True)
        ]
        total = sum(mpmath.mpf(w) for w in weights.tolist())
        return float(sum(w * x for w, x in zip(weights.tolist(), losses, strict=True)) / total)


def compute(piece, z, targets, weights=None):
    def on(library):
        arrays = [None if a is None else library.asarray(a) for a in (z, targets, weights)]
        loss, dz = piece(native(library), *arrays)
        return {"loss": loss, "dz": dz}

    return on


def test_every_loss_has_its_oracle():
    assert set(EXACT) == set(PIECES)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", PIECES)
def test_values(backend, name, dtype, weights):
    """Against the definition, within the derived bound."""
    z, targets = example(PIECES[name].targets)
    z, targets, own = (
        a if a is None or a.dtype.kind == "i" else a.astype(dtype) for a in (z, targets, weights)
    )
    on = compute(PIECES[name], z, targets, own)
    loss = on(backend)["loss"]
    assert loss.shape == ()
    assert loss.dtype == getattr(backend.xp, dtype)
    assert_near(float(loss), exact(name, z, targets, weights), with_bounds(on, dtype)["loss"])


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", PIECES)
def test_gradients_against_central_differences(name, weights):
    """differences.py derives the bound; the gradient's own rounding is of the order of f's."""
    backend = get_backend("numpy")
    z, targets = example(PIECES[name].targets)
    dz = compute(PIECES[name], z, targets, weights)(backend)["dz"]
    error = float(with_bounds(compute(PIECES[name], z, targets, weights), "float64")["loss"].error)
    slopes, bounds = central_differences(
        lambda moved: float(compute(PIECES[name], moved, targets, weights)(backend)["loss"]),
        z,
        1.01 * error,  # near z
    )
    assert (abs(dz - slopes) <= bounds).all()
    assert (bounds < 1e-6).all(), "the bound is too wide to tell anything"


def torch_losses():
    functional = pytest.importorskip("torch").nn.functional
    return {
        "softmax_cross_entropy": functional.cross_entropy,
        "softmax_cross_entropy 0.1": lambda z, t: functional.cross_entropy(
            z, t, label_smoothing=0.1
        ),
        "sigmoid_cross_entropy": functional.binary_cross_entropy_with_logits,
        "squared": functional.mse_loss,
        "absolute": functional.l1_loss,
        "huber": functional.huber_loss,
        "huber 0.25": lambda z, t: functional.huber_loss(z, t, delta=0.25),
        "poisson": functional.poisson_nll_loss,
    }


@pytest.mark.parametrize("name", [name for name in PIECES if "quantile" not in name])
def test_against_torch_differentiation(name):
    """Ours is within its bound; theirs within 32 u of numbers below 10: a few roundings each."""
    function = torch_losses()[name]
    import torch

    z, targets = example(PIECES[name].targets)
    theirs = torch.tensor(z, requires_grad=True)
    loss = function(theirs, torch.tensor(targets))
    loss.backward()
    on = compute(PIECES[name], z, targets)
    ours, bounds = on(get_backend("numpy")), with_bounds(on, "float64")
    also = 32 * 2.0**-53 * 10
    assert_near(ours["loss"], float(loss.detach()), bounds["loss"], also)
    assert_near(ours["dz"], theirs.grad.numpy(), bounds["dz"], also)


def sklearn_losses():
    metrics = pytest.importorskip("sklearn.metrics")

    def logistic_loss(z, t, w):  # the mean over the outputs of each one's
        p = 1 / (1 + np.exp(-z))
        return np.mean(
            [
                metrics.log_loss(t[:, k], p[:, k], sample_weight=w, labels=[0, 1])
                for k in range(OUTPUTS)
            ]
        )

    def softmax_loss(z, t, w):
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        return metrics.log_loss(t, p, sample_weight=w, labels=range(OUTPUTS))

    return {
        "softmax_cross_entropy": softmax_loss,
        "sigmoid_cross_entropy": logistic_loss,
        "squared": lambda z, t, w: metrics.mean_squared_error(t, z, sample_weight=w),
        "absolute": lambda z, t, w: metrics.mean_absolute_error(t, z, sample_weight=w),
        "quantile": lambda z, t, w: metrics.mean_pinball_loss(t, z, sample_weight=w, alpha=0.5),
        "quantile 0.9": lambda z, t, w: metrics.mean_pinball_loss(t, z, sample_weight=w, alpha=0.9),
        "poisson": lambda z, t, w: metrics.mean_poisson_deviance(t, np.exp(z), sample_weight=w),
    }


WITH_SKLEARN = [name for name in PIECES if "huber" not in name and "0.1" not in name]


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", WITH_SKLEARN)
def test_weights_mean_what_scikit_learn_means(name, weights):
    """sample_weight in sklearn.metrics; theirs within 32 u of numbers below 10."""
    function = sklearn_losses()[name]
    z, targets = example(PIECES[name].targets)
    own = weights
    if name == "poisson":  # only for one output, and in another parametrisation
        z, targets = z[:, :1], targets[:, :1]
    theirs = function(z, targets, own)
    if name == "poisson":
        # The deviance is 2 (t log t - t - t z + exp(z)); t log t is 0 at 0.
        constant = np.where(targets > 0, targets * np.log(np.maximum(targets, 1)), 0) - targets
        theirs = theirs / 2 - np.average(constant[:, 0], weights=own)
    on = compute(PIECES[name], z, targets, own)
    bounds = with_bounds(on, "float64")
    assert_near(float(on(get_backend("numpy"))["loss"]), theirs, bounds["loss"], 32 * 2.0**-53 * 10)


@pytest.mark.parametrize("name", PIECES)
def test_a_weight_of_two_is_the_example_twice(backend, name):
    """And one of 0 is an example that is not there: loss and gradient, within the bounds."""
    z, targets = example(PIECES[name].targets)
    counts = np.asarray([2, 0, 1, 3, 1])
    weighted = compute(PIECES[name], z, targets, counts.astype(float))
    repeated = compute(PIECES[name], np.repeat(z, counts, axis=0), np.repeat(targets, counts, 0))
    bounds, others = with_bounds(weighted, "float64"), with_bounds(repeated, "float64")
    one, other = (
        {key: backend.to_numpy(array) for key, array in on(backend).items()}
        for on in (weighted, repeated)
    )
    assert_near(one["loss"], other["loss"], bounds["loss"], others["loss"].error)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    for index, count in enumerate(counts):
        copies = slice(starts[index], starts[index] + count)
        row = other["dz"][copies].sum(axis=0)
        rounding = others["dz"].error[copies].sum(axis=0) + 3 * 2.0**-53 * abs(row)
        difference = abs(one["dz"][index] - row)
        assert (difference <= bounds["dz"].error[index] + rounding).all()


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("name", PIECES)
def test_weights_of_nothing_give_nothing(backend, name, arithmetic):
    """A batch may hold no example that counts: no NaN then, and no step."""
    z, targets = example(PIECES[name].targets)
    bound = get_arithmetic(arithmetic, backend.xp)
    arrays = [backend.asarray(a) for a in (z, targets, np.zeros(BATCH))]
    loss, dz = PIECES[name](bound, *arrays)
    assert float(loss) == 0.0
    assert (backend.to_numpy(dz) == 0.0).all()


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", PIECES)
def test_networks_along_leading_axes_get_what_each_gets_alone(backend, name, weights):
    examples = [example(PIECES[name].targets, seed) for seed in (0, 1)]
    z, targets = (np.stack(arrays) for arrays in zip(*examples, strict=True))
    own = None if weights is None else np.stack([weights, weights[::-1]])
    before = [a.tobytes() for a in (z, targets)]
    whole = compute(PIECES[name], z, targets, own)(backend)
    assert whole["loss"].shape == (2,)
    for index in range(2):
        on = compute(PIECES[name], z[index], targets[index], None if own is None else own[index])
        alone, bounds = on(backend), with_bounds(on, "float64")
        for key, array in alone.items():
            part = backend.to_numpy(whole[key])[index, ...]
            assert_near(part, backend.to_numpy(array), bounds[key], bounds[key].error)
    assert [a.tobytes() for a in (z, targets)] == before


@pytest.mark.parametrize("arithmetic", REPRODUCIBLE)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", PIECES)
def test_same_bits(backend, name, dtype, weighted, arithmetic):
    """Under the reproducible arithmetic: NumPy's bytes, also where logits are far apart or tiny."""
    rng = np.random.default_rng(0)
    scale = np.asarray([1.0, 30.0, 1e-20, 1e-37])[rng.integers(0, 4, size=(33, 1))]
    z = (scale * rng.normal(size=(33, 7))).astype(dtype)
    targets = {
        "classes": rng.integers(0, 7, size=33),
        "labels": rng.integers(0, 2, size=z.shape).astype(dtype),
        "numbers": rng.normal(size=z.shape).astype(dtype),
        "counts": rng.poisson(2.0, size=z.shape).astype(dtype),
    }[PIECES[name].targets]
    weights = rng.uniform(size=33).astype(dtype) if weighted else None

    def on(place):
        arrays = [None if a is None else place.asarray(a) for a in (z, targets, weights)]
        results = PIECES[name](get_arithmetic(arithmetic, place.xp), *arrays)
        return [place.to_numpy(array).tobytes() for array in results]

    assert on(backend) == on(get_backend("numpy"))


@pytest.mark.parametrize("arithmetic", REPRODUCIBLE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [n for n in PIECES if PIECES[n].targets in ("numbers", "counts")])
def test_same_bits_where_differences_are_denormal(backend, name, dtype, arithmetic):
    """Outputs and targets just above the smallest normal number: some libraries flush z - t."""
    rng = np.random.default_rng(0)
    smallest = float(np.finfo(dtype).smallest_normal)
    z, targets = (
        (smallest * (1 + rng.integers(0, 64, size=(9, 4)) / 64)).astype(dtype) for _ in range(2)
    )

    def on(place):
        arrays = place.asarray(z), place.asarray(targets)
        results = PIECES[name](get_arithmetic(arithmetic, place.xp), *arrays)
        return [place.to_numpy(array).tobytes() for array in results]

    assert on(backend) == on(get_backend("numpy"))


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("size", [1e4, 1e30])
@pytest.mark.parametrize("name", PIECES)
def test_any_finite_logits_are_stable(backend, name, size, arithmetic):
    """Finite loss and gradient, no warning (all are errors); 0 at a perfect prediction."""
    # A loss of 1e60 is no float32.
    dtype = "float64" if name == "squared" else "float32"
    z = np.asarray([[size, -size], [-size, size], [size, size]]).astype(dtype)
    kind = PIECES[name].targets
    rows = np.asarray([[1, 0], [1, 0], [0, 1]])
    targets = rows[:, 1] if kind == "classes" else rows.astype(dtype)
    bound = get_arithmetic(arithmetic, backend.xp)
    loss, dz = PIECES[name](bound, backend.asarray(z), backend.asarray(targets))
    assert np.isfinite(float(loss))
    assert np.isfinite(backend.to_numpy(dz)).all()
    assert np.isfinite(backend.to_numpy(PIECES[name].predict(bound, backend.asarray(z)))).all()
    if name in ("softmax_cross_entropy", "sigmoid_cross_entropy"):
        right, wrong = (
            PIECES[name](bound, backend.asarray(z[k : k + 1]), backend.asarray(targets[k : k + 1]))
            for k in (0, 1)
        )
        assert float(right[0]) == 0.0
        assert abs(backend.to_numpy(right[1])).max() <= 1e-37  # native's sigmoid ends at exp(-87)
        # 2 size nats for the softmax; for the sigmoid the mean of size and size.
        expected = float(z[0, 0]) * (2 if kind == "classes" else 1)
        assert float(wrong[0]) == expected


@pytest.mark.parametrize("name", PIECES)
def test_predictions_are_the_link(backend, name):
    """Rows that sum to 1, sigmoids, rates, or the outputs; against NumPy's own functions."""
    z, _ = example(PIECES[name].targets)
    result = backend.to_numpy(PIECES[name].predict(native(backend), backend.asarray(z)))
    expected = {
        "classes": np.exp(z) / np.exp(z).sum(axis=1, keepdims=True),
        "labels": 1 / (1 + np.exp(-z)),
        "numbers": z,
        "counts": np.exp(z),
    }[PIECES[name].targets]
    np.testing.assert_allclose(result, expected, rtol=32 * 2.0**-53)


def test_one_output_takes_targets_without_its_axis(backend):
    """(batch,) is (batch, 1), also beside a leading axis."""
    for name in ("squared", "sigmoid_cross_entropy", "poisson"):
        z = np.asarray([[[0.5], [2.0]], [[-1.0], [1.0]]])
        t = np.asarray([[1, 0], [0, 1]])
        results = [
            [backend.to_numpy(a).tolist() for a in compute(LOSSES[name], z, of)(backend).values()]
            for of in (t, t[..., None], t.astype(float))
        ]
        assert results[0] == results[1] == results[2]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SoftmaxCrossEntropy(1.0), "label_smoothing is 1.0, expected a number from 0 to"),
        (lambda: SoftmaxCrossEntropy(-0.1), "label_smoothing is -0.1"),
        (lambda: Huber(0.0), "delta is 0.0, expected a finite number above 0"),
        (lambda: Huber(float("nan")), "delta is nan"),
        (lambda: Quantile(1.0), "quantile is 1.0, expected a number between 0 and 1"),
        (lambda: Quantile(0.0), "quantile is 0.0"),
    ],
)
def test_parameters_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("loss", [Huber, 3, None])
def test_what_is_no_loss(loss):
    with pytest.raises(TypeError, match=r"loss is .*, expected a name or a loss such as Huber\(\)"):
        MLP([2, 2], loss=loss)


@pytest.mark.parametrize(
    ("loss", "labels", "message"),
    [
        ("softmax_cross_entropy", [[0.5, 0.4]] * 3, "hold a row that is no distribution"),
        ("softmax_cross_entropy", [[1.5, -0.5]] * 3, "hold a row that is no distribution"),
        ("softmax_cross_entropy", [[np.nan, 1.0]] * 3, "hold a row that is no distribution"),
        ("sigmoid_cross_entropy", [[0, 2]] * 3, "run from 0 to 2, expected 0 for no, 1 for yes"),
        ("sigmoid_cross_entropy", [[0.0, -1.0]] * 3, "run from -1 to 0, expected 0 for no"),
        ("sigmoid_cross_entropy", [0, 1, 1], r"of shape \(3,\), expected .*\(3, 2\)$"),
        ("squared", [[0.0, 1.0]], r"of shape \(1, 2\), expected .*\(3, 2\)$"),
        ("squared", [[0.0, np.nan]] * 3, "hold NaN or infinity"),
        ("huber", [[0.0, np.inf]] * 3, "hold NaN or infinity"),
        ("poisson", [[0.0, -1.0]] * 3, "run from -1, expected counts or rates of at least 0"),
    ],
)
def test_labels_that_a_loss_cannot_use(loss, labels, message):
    mlp = MLP([1, 2], loss=loss)
    parameters = [{"W": np.zeros((1, 2)), "b": np.zeros(2)}]
    with pytest.raises(ValueError, match=f"labels.* {message}"):
        mlp.loss_and_gradients(parameters, np.zeros((3, 1)), np.asarray(labels))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(2), r"weights are float64 of shape \(2,\), expected float64 of shape \(3,\)"),
        (np.ones(3, dtype="float32"), "weights are float32 of shape"),
        (np.asarray([1.0, -1.0, 1.0]), "weights hold negative numbers"),
        (np.asarray([1.0, np.nan, 1.0]), "weights hold negative numbers, NaN"),
        (np.zeros(3), "weights are all 0"),
    ],
)
def test_weights_that_are_none(weights, message):
    mlp = MLP([1, 2])
    parameters = [{"W": np.zeros((1, 2)), "b": np.zeros(2)}]
    with pytest.raises(ValueError, match=message):
        mlp.loss_and_gradients(parameters, np.zeros((3, 1)), np.asarray([0, 1, 1]), weights=weights)


def test_a_rate_beyond_exp_80_counts_as_exp_80(backend):
    z = np.asarray([[80.0], [81.0], [1e4]])
    rates = backend.to_numpy(Poisson().predict(native(backend), backend.asarray(z)))
    assert rates[0, 0] == rates[1, 0] == rates[2, 0]


def test_probabilities_are_asked_of_a_classifier():
    parameters, x = [{"W": np.ones((1, 2)), "b": np.zeros(2)}], np.ones((3, 1))
    with pytest.raises(ValueError, match=r"loss is 'squared', which has no probabilities"):
        MLP([1, 2], loss="squared").predict_proba(parameters, x)
    assert MLP([1, 2], loss="squared").predict(parameters, x).tolist() == [[1.0, 1.0]] * 3
    assert MLP([1, 2]).predict(parameters, x).tolist() == [[0.5, 0.5]] * 3
