"""Transforms against trajectories of torch.optim (weight_decay, |W| in the loss) and optax."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from pluggable_mlp import MLP, TabM, TabMMini, first_state, train, training_step
from pluggable_mlp.network.feature_layers import Normalization
from pluggable_mlp.network.layers import Dense
from pluggable_mlp.training.factors import DecayFactors, RateFactors
from pluggable_mlp.training.muon import Muon
from pluggable_mlp.training.optimizers import SGD, Adam, AdamW
from pluggable_mlp.training.schedules import Plateau
from pluggable_mlp.training.transforms import (
    L1,
    L2,
    AverageParameters,
    ClipByGlobalNorm,
    global_norm,
)
from tests.training.optimizer_problem import (
    NUMPY,
    START,
    after,
    assert_close,
    assert_follows,
    gradients,
)


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        ("sgd weight_decay", L2(SGD(0.05), 0.3)),
        ("adam weight_decay", L2(Adam(0.05), 0.3)),
        ("sgd l1", L1(SGD(0.05), 0.2)),
    ],
)
def test_follows_torch(name, optimizer):
    assert_follows(name, optimizer)


def test_average_follows_optax():
    assert_follows("sgd average", AverageParameters(SGD(0.05), 0.8))


def test_the_average_begins_with_the_parameters():
    mlp = MLP([2, 3])
    start = mlp.initialize(seed=0, backend=NUMPY)
    state = first_state(mlp, AverageParameters(SGD(), 0.9), start)
    assert np.array_equal(state.inference_parameters[0]["W"], start[0]["W"])


def test_clipping_follows_optax():
    assert_follows("sgd clip_norm", ClipByGlobalNorm(SGD(0.05), 5.0))


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_rate_factors_follow_torchs_groups(name):
    """A rate for W, one for b, and the decay, of W alone, by schedules."""
    torch = pytest.importorskip("torch")
    rates = [0.05 / (t + 1) for t in range(20)]
    tensors = [{key: torch.tensor(w.copy()) for key, w in of.items()} for of in START]
    groups = [
        {"params": [of[key] for of in tensors if key in of], "factor": factor, "decay": decay}
        for key, factor, decay in (("W", 6.0, 0.25), ("b", 0.25, 0.0))
    ]
    theirs = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
    ours = SGD(lambda t: 0.05 / (t + 1), momentum=0.9)
    if name == "adamw":
        theirs = torch.optim.AdamW(groups, lr=0.1)
        ours = AdamW(lambda t: 0.05 / (t + 1), weight_decay=lambda t: 0.25 / (t + 2))
    for t, rate in enumerate(rates):
        parameters = [{key: w.numpy().copy() for key, w in of.items()} for of in tensors]
        for of, gradient in zip(tensors, gradients(parameters, t), strict=True):
            for key, w in of.items():
                w.grad = torch.tensor(gradient[key])
        for group in theirs.param_groups:
            group["lr"] = rate * group["factor"]
            group["weight_decay"] = group["decay"] / (t + 2) if name == "adamw" else 0.0
        theirs.step()
    grouped = RateFactors(ours, {"W": 6.0, "b": 0.25})
    found, _ = after(20, grouped, START, gradients)
    assert_close(found, [{key: w.numpy() for key, w in of.items()} for of in tensors])


def test_rate_factors_of_a_schedule_that_follows_losses():
    grouped = RateFactors(SGD(Plateau(0.5, factor=0.5, patience=0)), {"b": 0.5})
    assert grouped.follows_losses
    assert grouped.coefficients_at(3) == {"1.0": {"rate": 0.5}, "0.5": {"rate": 0.25}}
    later = grouped.after([1.0, 1.0])
    assert later.coefficients_at(3) == {"1.0": {"rate": 0.25}, "0.5": {"rate": 0.125}}


def test_decay_factors_follow_torchs_groups_with_a_decay_for_each():
    """By schedules: f of the rate's decay for W, none for b, whose rate is another."""
    torch = pytest.importorskip("torch")
    tensors = [{key: torch.tensor(w.copy()) for key, w in of.items()} for of in START]
    groups = [
        {"params": [of[key] for of in tensors if key in of], "factor": factor, "decay": decay}
        for key, factor, decay in (("W", 0.5, 3.0), ("b", 0.25, 0.0))
    ]
    theirs = torch.optim.AdamW(groups, lr=0.1)
    for t in range(20):
        rate, decay = 0.05 / (t + 1), 0.25 / (t + 2)
        parameters = [{key: w.numpy().copy() for key, w in of.items()} for of in tensors]
        for of, gradient in zip(tensors, gradients(parameters, t), strict=True):
            for key, w in of.items():
                w.grad = torch.tensor(gradient[key])
        for group in theirs.param_groups:
            group["lr"] = rate * group["factor"]  # by which theirs multiplies the decay, too
            group["weight_decay"] = decay * group["decay"] / group["factor"]
        theirs.step()
    rates = RateFactors(Adam(lambda t: 0.05 / (t + 1)), {"W": 0.5, "b": 0.25})
    ours = DecayFactors(rates, lambda t: 0.25 / (t + 2), {"W": 3.0})
    found, _ = after(20, ours, START, gradients)
    assert_close(found, [{key: w.numpy() for key, w in of.items()} for of in tensors])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: RateFactors(SGD(), {"b": "x"}), ValueError, r"factors\['b'\] is 'x', expected"),
        (lambda: RateFactors(SGD(), 2.0), TypeError, "factors is 2.0, expected a dict such as"),
        (lambda: RateFactors(CLIPPED, {}), TypeError, "put transforms around RateFactors"),
        (lambda: DecayFactors(SGD(), 0.1, {"W": -1.0}), ValueError, r"factors\['W'\] is -1.0"),
        (lambda: DecayFactors(SGD(), -0.1, {"W": 1.0}), ValueError, "weight_decay is -0.1"),
        (lambda: DecayFactors(SGD(), Plateau(0.1), {}), ValueError, "weight_decay is Plateau"),
        (lambda: DecayFactors(CLIPPED, 0.1, {}), TypeError, "put other transforms around Decay"),
        (lambda: L2(SGD(), -1), ValueError, "weight_decay is -1, expected"),
        (lambda: L1(SGD(), float("nan")), ValueError, "l1 is nan, expected"),
        (lambda: AverageParameters(SGD(), 1), ValueError, "average is 1, expected"),
        (lambda: ClipByGlobalNorm(SGD(), 0), ValueError, "clip_norm is 0, expected"),
    ],
)
def test_what_is_no_transform_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


CLIPPED = ClipByGlobalNorm(SGD(), 1.0)
X, TARGETS = np.random.default_rng(0).normal(size=(6, 4)), [0, 1, 2] * 2


@pytest.mark.parametrize(
    ("network", "factors", "message"),
    [
        ({"input_scaling": True}, {"scales": 6.0}, "factors takes no scales; .*mean 'scale'"),
        ({"ensemble": TabM(2)}, {"b": 0.1}, "factors takes no b; .* member_b"),
    ],
)
def test_rate_factors_of_names_that_no_parameter_has_are_refused(network, factors, message):
    mlp, optimizer = MLP([4, 5, 3], **network), RateFactors(Adam(), factors)
    parameters = mlp.initialize(seed=0, backend=NUMPY, dtype="float64")
    with pytest.raises(ValueError, match=message):
        first_state(mlp, optimizer, parameters)
    with pytest.raises(ValueError, match=message):
        train(mlp, X, TARGETS, optimizer=optimizer, backend=NUMPY, dtype="float64")
    state = first_state(mlp, Adam(), parameters)
    with pytest.raises(ValueError, match=message):
        training_step(mlp, optimizer, state, X, np.asarray(TARGETS))


@pytest.mark.parametrize("name", ["W", "member_W"])
def test_rate_factors_around_muon_leave_the_hidden_matrices_to_it(name):
    """The first update, decay and all, is that of Muon alone times the factor."""
    mlp = MLP([4, 5, 6, 3], ensemble=TabMMini(2))
    parameters = mlp.initialize(seed=0, backend=NUMPY, dtype="float64")
    moves = []
    for optimizer in (Muon(0.1), RateFactors(Muon(0.1), {name: 0.5})):
        state = first_state(mlp, optimizer, parameters)
        _, state = training_step(mlp, optimizer, state, X, np.asarray(TARGETS))
        moves.append(
            [
                {key: new[key] - old[key] for key in old}
                for new, old in zip(state.parameters, parameters, strict=True)
            ]
        )
    for alone, grouped in zip(*moves, strict=True):
        for key, move in alone.items():
            expected = 0.5 * move if key == name else move
            np.testing.assert_allclose(grouped[key], expected, rtol=1e-9, atol=1e-15)


def test_global_norm_is_one_per_network():
    gradients = [{"W": np.array([[[3.0]], [[0.0]]]), "b": np.array([[4.0], [2.0]])}]
    assert global_norm(NUMPY.xp, [Dense(1, 1)], gradients).tolist() == [5.0, 2.0]


@dataclass(frozen=True)
class Mixing(Normalization):
    """A layer of a user with an array of another name: y = x M."""

    constants: ClassVar = {"M": 1.0}
    weights: ClassVar = ("M",)

    def shapes(self):
        return {"M": (self.features, self.features)}

    def forward(self, xp, parameters, x, rng=None):
        M = parameters["M"]
        return x @ M, lambda dy, *, with_dx=True: (dy @ M.mT, {"M": x.mT @ dy})


def test_a_layer_says_which_arrays_decay_and_which_axes_are_of_one_network():
    mlp, labels = MLP([4, 3, 3], norm=Mixing()), np.asarray(TARGETS)
    networks = [mlp.initialize(seed=n, backend=NUMPY, dtype="float64") for n in range(2)]

    def updated(optimizer, parameters, x):
        state = first_state(mlp, optimizer, parameters)
        return training_step(mlp, optimizer, state, x, labels)[1].parameters

    decayed = updated(AdamW(0.1, weight_decay=0.5), networks[0], 0.0 * X)  # without a gradient
    np.testing.assert_allclose(decayed[1]["M"], np.full((3, 3), 0.95))
    together = [
        {name: np.stack([one[name], other[name]]) for name in one}
        for one, other in zip(*networks, strict=True)
    ]
    clipped = ClipByGlobalNorm(SGD(1.0), 0.1)
    found = updated(clipped, together, X)
    for index, network in enumerate(networks):
        for layer, expected in zip(found, updated(clipped, network, X), strict=True):
            for name, array in expected.items():
                np.testing.assert_allclose(layer[name][index], array, rtol=1e-12)


def step(g, clip_norm):
    """The step of SGD with rate 1 from a parameter 0."""
    optimizer = ClipByGlobalNorm(SGD(1.0), clip_norm)
    parameters = [{"W": np.zeros((1, 1)), "b": np.zeros(1)}]
    gradients = [{"W": np.full((1, 1), g), "b": np.zeros(1)}]
    return after(1, optimizer, parameters, lambda *_: gradients)[0]


@pytest.mark.parametrize(
    ("g", "clip_norm", "expected"),
    [
        (0.0, 0.1, 0.0),
        (0.3, 0.3, -0.3),  # a norm that is just not too large changes nothing
        (0.1, 0.3, -0.1),
        (-7.0, 1.0, 1.0),
        (1e200, 1.0, 0.0),  # its square overflows
    ],
)
def test_clipping_at_the_ends_of_the_range(g, clip_norm, expected):
    with np.errstate(over="ignore"):
        assert step(g, clip_norm)[0]["W"] == expected


def test_rate_factors_within_an_average_leave_its_slots_alone():
    mlp = MLP([4, 5, 3])
    histories = [
        train(mlp, X, TARGETS, optimizer=optimizer, backend=NUMPY, epochs=3).history
        for scaled in [RateFactors(Adam(), {"b": 0.5})]
        for optimizer in (scaled, AverageParameters(scaled, 0.5))
    ]
    assert histories[0] == histories[1]
