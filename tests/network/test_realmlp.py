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
from tests.published import import_pytabkit, recorded, summary

STEPS, NUMBERS, SIZE = 50, 3, 4
FACTORS = {"scale": 6.0, "b": 0.1, "a": 0.1}
FACTORS |= dict.fromkeys(("embedding_w", "embedding_b", "embedding_V", "embedding_c"), 0.1)
# Theirs have the numbers themselves behind the features of all others.
OURS = [i * SIZE + j for i in range(NUMBERS) for j in range(SIZE - 1)]
OURS += [i * SIZE + SIZE - 1 for i in range(NUMBERS)] + [NUMBERS * SIZE]


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


def as_theirs(parameters):
    """Our parameters in their shapes and order of features."""
    embedding, scaling, first, activation, last = parameters
    return [
        {
            "embedding_w": embedding["embedding_w"][:, None],
            "embedding_b": embedding["embedding_b"][:, None],
            "embedding_V": embedding["embedding_V"],
            "embedding_c": embedding["embedding_c"][:, None],
        },
        {"scale": scaling["scale"][OURS][None]},
        {"W": first["W"][OURS], "b": first["b"][None]},
        {"a": activation["a"][None]},
        {"W": last["W"], "b": last["b"][None]},
    ]


def summaries(layers):
    return {
        f"{k}.{name}": summary(of) for k, layer in enumerate(layers) for name, of in layer.items()
    }


def in_pytabkit(pytabkit, parameters):
    """Their layers with our parameters, and the leaves by our names."""
    import torch

    nn, base = pytabkit("nn_models.nn"), pytabkit("nn_models.base")

    def variable(array):
        return base.Variable(torch.tensor(np.ascontiguousarray(array)))

    leaves = [{n: variable(of) for n, of in layer.items()} for layer in as_theirs(parameters)]
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


def steps_of_pytabkit(pytabkit, parameters, schedule, x, targets):
    """Their losses and parameters after so many steps."""
    import torch

    forward, leaves = in_pytabkit(pytabkit, parameters)
    groups = [
        {"params": [array], "factor": FACTORS.get(name, 1.0)}
        for layer in leaves
        for name, array in layer.items()
    ]
    optimizer, losses = torch.optim.Adam(groups, lr=0.1, betas=(0.9, 0.95)), []
    for step in range(STEPS):
        rows = slice(step % 4 * 16, step % 4 * 16 + 16)
        z, t = forward(torch.tensor(x[rows])), torch.tensor(targets[rows])
        loss = torch.nn.functional.cross_entropy(z, t, label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = schedule(step) * group["factor"]
        optimizer.step()
        losses.append(float(loss.detach()))
    after = [{n: of.detach().numpy() for n, of in layer.items()} for layer in leaves]
    return {"losses": losses, **summaries(after)}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pytabkit scripts functions
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-5)])
def test_fifty_steps_agree_with_pytabkit(monkeypatch, dtype, tolerance):
    mlp, backend = network(), get_backend("numpy")
    rng = np.random.default_rng(0)
    x, targets = rng.normal(size=(64, NUMBERS + 1)).astype(dtype), rng.integers(0, 3, size=64)
    parameters = mlp.initialize(seed=1, backend=backend, dtype=dtype)
    schedule = LogCosine(0.04, total_steps=200)
    expected = recorded(
        f"layers of RealMLP-TD, {dtype}",
        "pytabkit",
        lambda: steps_of_pytabkit(import_pytabkit(monkeypatch), parameters, schedule, x, targets),
    )
    ours = RateFactors(Adam(schedule, beta2=0.95), FACTORS)
    state, losses = first_state(mlp, ours, parameters), []
    for step in range(STEPS):
        rows = slice(step % 4 * 16, step % 4 * 16 + 16)
        of_step, state = training_step(mlp, ours, state, x[rows], targets[rows])
        losses.append(float(of_step))
    found = {"losses": losses, **summaries(as_theirs(state.parameters))}
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, tolerance, tolerance, err_msg=name)
    assert losses[-1] < losses[0]
