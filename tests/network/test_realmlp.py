"""The layers of RealMLP-TD together, against those of pytabkit over 50 steps."""

import numpy as np
import pytest

from pluggable_mlp import (
    MLP,
    Adam,
    Periodic,
    RateFactors,
    SoftmaxCrossEntropy,
    first_state,
    get_backend,
    training_step,
)
from pluggable_mlp.training.schedules import LogCosine
from tests.published import import_pytabkit

torch = pytest.importorskip("torch")
STEPS, NUMBERS, SIZE = 50, 3, 4
FACTORS = {"scale": 6.0, "b": 0.1, "a": 0.1}
FACTORS |= dict.fromkeys(("embedding_w", "embedding_b", "embedding_V", "embedding_c"), 0.1)
# Theirs have the numbers themselves behind the features of all others.
OURS = [i * SIZE + j for i in range(NUMBERS) for j in range(SIZE - 1)]
OURS += [i * SIZE + SIZE - 1 for i in range(NUMBERS)] + [NUMBERS * SIZE]


@pytest.fixture
def pytabkit(monkeypatch):
    return import_pytabkit(monkeypatch)


def network():
    return MLP(
        [NUMBERS + 1, 6, 3],
        activation="selu",
        loss=SoftmaxCrossEntropy(label_smoothing=0.1),
        initializer="standard_normal",
        parametrization="ntk",
        input_scaling=True,
        parametric_activation=True,
        embedding=Periodic(NUMBERS, size=SIZE, frequencies=5),
    )


def in_pytabkit(pytabkit, parameters):
    """Their layers with our parameters, and the leaves by our names."""
    nn, base = pytabkit("nn_models.nn"), pytabkit("nn_models.base")
    embedding, scaling, first, activation, last = parameters

    def variable(array):
        return base.Variable(torch.tensor(np.ascontiguousarray(array)))

    leaves = [
        {
            "embedding_w": variable(embedding["embedding_w"][:, None]),
            "embedding_b": variable(embedding["embedding_b"][:, None]),
            "embedding_V": variable(embedding["embedding_V"]),
            "embedding_c": variable(embedding["embedding_c"][:, None]),
        },
        {"scale": variable(scaling["scale"][OURS][None])},
        {"W": variable(first["W"][OURS]), "b": variable(first["b"][None])},
        {"a": variable(activation["a"][None])},
        {"W": variable(last["W"]), "b": variable(last["b"][None])},
    ]
    of_embedding, of_scaling, of_first, of_activation, of_last = leaves
    waves = nn.PLREmbeddingsLayerCosBias(
        None,
        weight_1=of_embedding["embedding_w"],
        bias_1=of_embedding["embedding_b"],
        weight_2=of_embedding["embedding_V"],
        bias_2=of_embedding["embedding_c"],
        plr_act_name="linear",
        plr_use_densenet=True,
    )
    layers = [base.ScaleLayer(of_scaling["scale"])]
    mixture = pytabkit("nn_models.activations").ParametricActivationLayer
    for of, before in ((of_first, None), (of_last, of_activation)):
        if before is not None:
            layers.append(mixture(torch.selu, before["a"]))
        layers.append(base.WeightLayer(of["W"], factor=of["W"].shape[0] ** -0.5))
        layers.append(base.BiasLayer(of["b"]))

    def forward(x):
        y = torch.cat([waves.forward_cont(x[:, :NUMBERS]), x[:, NUMBERS:]], dim=-1)
        for layer in layers:
            y = layer.forward_cont(y)
        return y

    return forward, leaves


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pytabkit scripts functions
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [("float64", 1e-9), pytest.param("float32", 1e-5, marks=pytest.mark.slow)],
)
def test_fifty_steps_agree_with_pytabkit(pytabkit, dtype, tolerance):
    mlp, backend = network(), get_backend("numpy")
    rng = np.random.default_rng(0)
    x, targets = rng.normal(size=(64, NUMBERS + 1)).astype(dtype), rng.integers(0, 3, size=64)
    parameters = mlp.initialize(seed=1, backend=backend, dtype=dtype)
    forward, leaves = in_pytabkit(pytabkit, parameters)
    groups = [
        {"params": [array], "factor": FACTORS.get(name, 1.0)}
        for layer in leaves
        for name, array in layer.items()
    ]
    theirs = torch.optim.Adam(groups, lr=0.1, betas=(0.9, 0.95))
    schedule = LogCosine(0.04, total_steps=200)
    ours = RateFactors(Adam(schedule, beta2=0.95), FACTORS)
    state, losses, expected = first_state(mlp, ours, parameters), [], []
    for step in range(STEPS):
        rows = slice(step % 4 * 16, step % 4 * 16 + 16)
        of_step, state = training_step(mlp, ours, state, x[rows], targets[rows])
        losses.append(float(of_step))
        z, t = forward(torch.tensor(x[rows])), torch.tensor(targets[rows])
        loss = torch.nn.functional.cross_entropy(z, t, label_smoothing=0.1)
        theirs.zero_grad()
        loss.backward()
        for group in theirs.param_groups:
            group["lr"] = schedule(step) * group["factor"]
        theirs.step()
        expected.append(float(loss.detach()))
    assert losses == pytest.approx(expected, rel=tolerance, abs=tolerance)
    assert expected[-1] < expected[0]
    _, found = in_pytabkit(pytabkit, state.parameters)
    for layer, of_ours in zip(leaves, found, strict=True):
        for name, array in layer.items():
            assert torch.allclose(array, of_ours[name], rtol=tolerance, atol=tolerance), name
