"""Members: against the package tabm over 50 steps, averages by hand, masks, stacks, errors."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from pluggable_mlp import (
    MLP,
    AdamW,
    PiecewiseLinear,
    Rng,
    TabM,
    TabMMini,
    first_state,
    get_backend,
    train,
    training_step,
)
from tests.published import recorded, summary

NUMPY = get_backend("numpy")
MEMBERS, STEPS = 4, 50
ENSEMBLES = {"tabm-mini": TabMMini, "tabm": TabM}
OUTPUTS = {"softmax_cross_entropy": 3, "squared_error": 1}


def network(kind, loss="softmax_cross_entropy", **settings):
    ensemble = ENSEMBLES[kind](MEMBERS)
    initializer = "inverse_sqrt_uniform"
    outputs = OUTPUTS.get(loss, 2)
    return MLP(
        [5, 8, 8, outputs],
        activation="relu",
        loss=loss,
        initializer=initializer,
        ensemble=ensemble,
        **settings,
    )


def data(loss, rows=64):
    rng = np.random.default_rng(0)
    x, classes = rng.normal(size=(rows, 5)), rng.integers(0, 2, size=rows)
    targets = {
        "softmax_cross_entropy": classes,
        "sigmoid_cross_entropy": np.stack([classes, 1 - classes], axis=-1).astype(np.float64),
        "poisson": np.stack([classes, 3.0 * classes], axis=-1),
        "squared_error": (x[:, :1] * x[:, 1:2]),
    }[loss]
    return x, targets


def named_as_theirs(kind, parameters):
    """Our parameters by the package's names."""
    *hidden, last = parameters
    ours = {"output.weight": last["member_W"], "output.bias": last["member_b"]}
    if kind == "tabm-mini":
        first, *hidden = hidden
        ours["backbone.affine.weight"] = first["r"]
    names = {"W": "weight", "b": "bias", "member_b": "bias", "r": "r", "s": "s"}
    for index, layer in enumerate(hidden):
        for name, array in layer.items():
            ours[f"backbone.blocks.{index}.0.{names[name]}"] = array.T if name == "W" else array
    return ours


def in_tabm(kind, parameters, x, targets, loss):
    """The package's losses of 50 steps, parameters and outputs; W alone decays."""
    import tabm
    import torch

    model = tabm.TabM(
        n_num_features=5,
        d_out=OUTPUTS[loss],
        n_blocks=2,
        d_block=8,
        dropout=0.0,
        activation="ReLU",
        k=MEMBERS,
        arch_type=kind,
        start_scaling_init="random-signs",
    )
    ours = named_as_theirs(kind, parameters)
    state = {name: torch.tensor(np.ascontiguousarray(array)) for name, array in ours.items()}
    model = model.to(next(iter(state.values())).dtype)
    model.load_state_dict(state)
    weights = {"output.weight", *(f"backbone.blocks.{index}.0.weight" for index in range(2))}
    decayed = [p for name, p in model.named_parameters() if name in weights]
    others = [p for name, p in model.named_parameters() if name not in weights]
    groups = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=0.01, weight_decay=0.125)
    functional = torch.nn.functional
    losses = []
    for step in range(STEPS):
        rows = slice(step % 4 * 16, step % 4 * 16 + 16)
        z = model(torch.tensor(x[rows]))
        t = torch.tensor(targets[rows]).repeat_interleave(MEMBERS, 0)
        one = functional.cross_entropy if loss == "softmax_cross_entropy" else functional.mse_loss
        of_step = one(z.flatten(0, 1), t)
        optimizer.zero_grad()
        of_step.backward()
        optimizer.step()
        losses.append(float(of_step.detach()))
    with torch.no_grad():
        z = model(torch.tensor(x)).numpy()  # (batch, k, outputs)
    mean = z.mean(axis=1)
    if loss == "softmax_cross_entropy":
        p = np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)
        mean = p.mean(axis=1)
    after = {name: summary(array) for name, array in model.state_dict().items()}
    return {"losses": losses, "mean": summary(mean), **after}


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-5)])
@pytest.mark.parametrize("loss", OUTPUTS)
@pytest.mark.parametrize("kind", ENSEMBLES)
def test_fifty_steps_agree_with_tabm(kind, loss, dtype, tolerance):
    mlp, optimizer = network(kind, loss), AdamW(0.01, weight_decay=0.125)
    x, targets = data(loss)
    x = x.astype(dtype)
    targets = targets if loss == "softmax_cross_entropy" else targets.astype(dtype)
    parameters = mlp.initialize(seed=1, backend=NUMPY, dtype=dtype)
    case = f"{kind}, {loss}, {dtype}"
    expected = recorded(case, "tabm", lambda: in_tabm(kind, parameters, x, targets, loss))

    state = first_state(mlp, optimizer, parameters)
    losses = []
    for step in range(STEPS):
        rows = slice(step % 4 * 16, step % 4 * 16 + 16)
        of_step, state = training_step(mlp, optimizer, state, x[rows], targets[rows])
        losses.append(float(of_step))
    assert losses[-1] < 0.9 * losses[0]
    found = {"losses": losses}
    found |= {n: summary(array) for n, array in named_as_theirs(kind, state.parameters).items()}
    if loss == "squared_error":
        found["mean"] = summary(mlp.predict(state.parameters, x))
    else:
        p = mlp.predict_proba(state.parameters, x)
        found["mean"] = summary(p)
        assert (mlp.predict(state.parameters, x) == p.argmax(axis=-1)).all()
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, tolerance, tolerance, err_msg=name)


@pytest.mark.parametrize("loss", ["sigmoid_cross_entropy", "poisson"])
def test_predictions_are_the_mean_of_the_members(loss):
    """Of each member by itself: a network with its factors in W and its own last layer."""
    mlp = network("tabm-mini", loss)
    first, *hidden, last = mlp.initialize(seed=2, backend=NUMPY, dtype="float64")
    last = {name: 3.0 * array for name, array in last.items()}
    x, _ = data(loss, rows=9)
    alone = MLP([5, 8, 8, 2], activation="relu", loss=loss)
    ask = "predict_proba" if loss == "sigmoid_cross_entropy" else "predict"
    of_members = []
    for m in range(MEMBERS):
        dense = [{**hidden[0], "W": first["r"][m][:, None] * hidden[0]["W"]}, hidden[1]]
        layers = [*dense, {"W": last["member_W"][m], "b": last["member_b"][m]}]
        of_members.append(getattr(alone, ask)(layers, x))
    mean = np.mean(of_members, axis=0)
    assert np.std(of_members, axis=0).min() > 1e-3
    parameters = [first, *hidden, last]
    assert np.allclose(getattr(mlp, ask)(parameters, x), mean, rtol=1e-12)
    if loss == "sigmoid_cross_entropy":
        assert (mlp.predict(parameters, x) == (mean > 0.5)).all()


def test_huge_outputs_do_not_overflow():
    """Members that are certain of different classes: their probabilities are averaged."""
    mlp = MLP([1, 2], ensemble=TabMMini(2))
    parameters = mlp.initialize(seed=0, backend=NUMPY)
    parameters[-1]["member_W"][...] = 0.0
    parameters[-1]["member_b"][...] = [[3e4, -3e4], [-3e4, 3e4]]
    x = np.ones((3, 1), dtype=np.float32)
    assert mlp.predict_proba(parameters, x).tolist() == [[0.5, 0.5]] * 3


def test_each_member_has_masks_of_its_own():
    """The same ones whether a batch is computed at once or in micro-batches."""
    mlp = network("tabm-mini", dropout=0.5)
    parameters = mlp.initialize(seed=0, backend=NUMPY)
    (dropout, *_) = [layer for layer in mlp.layers if type(layer).__name__ == "Dropout"]
    ones = np.ones((6 * MEMBERS, 8), dtype=np.float32)
    whole, _ = dropout.forward(NUMPY.xp, {}, ones, Rng(seed=0, t=0))
    members = whole.reshape(6, MEMBERS, 8).transpose(1, 0, 2)
    assert all((one != other).any() for one, other in itertools.combinations(members, 2))
    rest, _ = dropout.forward(NUMPY.xp, {}, ones[: 4 * MEMBERS], Rng(seed=0, t=0, first=2))
    assert (rest == whole[2 * MEMBERS :]).all()
    x, targets = data("softmax_cross_entropy", rows=8)
    x = x.astype(np.float32)
    assert mlp.logits(parameters, x).shape == (8, 3)
    loss, _ = mlp.loss_and_gradients(parameters, x, targets, rng=Rng(seed=0, t=0))
    assert loss.shape == ()


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "sigmoid_cross_entropy"])
@pytest.mark.parametrize("kind", ENSEMBLES)
def test_networks_along_leading_axes(kind, loss):
    """Each with its own examples and weights of them gives what it gives by itself."""
    mlp = network(kind, loss)
    each = [mlp.initialize(seed=seed, backend=NUMPY, dtype="float64") for seed in range(2)]
    stacked = [
        {name: np.stack([layer[name] for layer in layers]) for name in layers[0]}
        for layers in zip(*each, strict=True)
    ]
    x, targets = data(loss, rows=12)
    x, targets = np.stack([x[:6], x[6:]]), np.stack([targets[:6], targets[6:]])
    weights = np.random.default_rng(1).uniform(0.5, 1.0, size=(2, 6))
    whole, gradients = mlp.loss_and_gradients(stacked, x, targets, sample_weight=weights)
    assert whole.shape == (2,)
    for index, own in enumerate(each):
        alone, own_gradients = mlp.loss_and_gradients(
            own, x[index], targets[index], sample_weight=weights[index]
        )
        assert whole[index] == pytest.approx(float(alone), rel=1e-13)
        for layer, expected in zip(gradients, own_gradients, strict=True):
            for name, array in expected.items():
                assert np.allclose(layer[name][index], array, rtol=1e-11, atol=1e-14)
        found = mlp.logits(stacked, x)[index]
        assert np.allclose(found, mlp.logits(own, x[index]), rtol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ENSEMBLES)
def test_members_with_batches_of_their_own(kind, weighted):
    """The mean of their losses, and its gradient: the sum of what each adds by its own batch."""
    shared = network(kind, embedding=PiecewiseLinear([[-1.0, 0.0, 1.0]] * 2, size=3))
    mlp = replace(shared, ensemble=replace(shared.ensemble, own_batches=True))
    parameters = mlp.initialize(seed=0, backend=NUMPY, dtype="float64")
    x, targets = (part.reshape(MEMBERS, 16, *part.shape[1:]) for part in data(mlp.loss))
    expected, losses = [], []
    weights = np.random.default_rng(1).uniform(size=(MEMBERS, 16)) ** 4 if weighted else None
    share = np.full(MEMBERS, 1 / MEMBERS) if weights is None else weights.sum(1) / weights.sum()
    for m in range(MEMBERS):
        z, backward = shared.forward(NUMPY.xp, parameters, x[m])
        loss, dz = shared.objective(
            NUMPY.xp, z[m], targets[m], None if weights is None else weights[m]
        )
        losses.append(loss)
        expected.append(backward((np.arange(MEMBERS) == m)[:, None, None] * dz * share[m]))
    loss, gradients = mlp.loss_and_gradients(
        parameters, x, targets, sample_weight=weights, rng=Rng(seed=0, t=0)
    )
    assert loss == pytest.approx(share @ losses, rel=1e-12)
    for layer, *of_members in zip(gradients, *expected, strict=True):
        for name, array in layer.items():
            total = sum(arrays[name] for arrays in of_members)
            np.testing.assert_allclose(array, total, rtol=1e-9, atol=1e-14, err_msg=name)
    state = first_state(mlp, AdamW(), parameters)
    with pytest.raises(ValueError, match=r"\(2, 16, 5\), expected \(batch, 5\) or \(4, batch, 5\)"):
        training_step(mlp, AdamW(), state, x[:2], targets[:2])
    how = {"backend": NUMPY, "batch_size": 12, "epochs": 1}
    with pytest.raises(ValueError, match="micro_batch is 8, expected None: members have batches"):
        train(mlp, x[0], targets[0], micro_batch=8, **how)


def test_members_of_tabm_begin_with_the_same_random_biases():
    """As the package has them: one draw, uniform within 1 / sqrt(in)."""
    mlp = MLP([16, 400, 2], initializer="inverse_sqrt_uniform", ensemble=TabM(MEMBERS))
    b = mlp.initialize(seed=0, backend=NUMPY)[0]["member_b"]
    assert (b == b[0]).all()
    assert 0.24 < abs(b).max() < 0.25
    assert b[0].std() == pytest.approx(0.25 / 3**0.5, rel=0.1)


@pytest.mark.parametrize("scaling", ["signs", "normal"])
def test_blocks_begin_with_one_factor(scaling):
    ensemble = TabMMini(50, scaling=scaling, blocks=(1, 3, 1))
    mlp = MLP([5, 2], ensemble=ensemble)
    r = mlp.initialize(seed=0, backend=NUMPY, dtype="float64")[0]["r"]
    assert r.shape == (50, 5)
    assert (r[:, 1] == r[:, 2]).all()
    assert (r[:, 2] == r[:, 3]).all()
    assert (r[:, 0] != r[:, 1]).any()
    assert set(np.unique(r)) == {-1.0, 1.0} if scaling == "signs" else len(np.unique(r)) == 150


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: TabMMini(0), ValueError, "members is 0, expected an integer of at least 1"),
        (
            lambda: TabM(4, scaling="ones"),
            ValueError,
            "scaling is 'ones', expected one of normal, signs",
        ),
        (
            lambda: TabM(4, blocks=(2, 0)),
            ValueError,
            r"blocks is \(2, 0\), expected a sequence of integers of at least 1",
        ),
        (
            lambda: MLP([5, 2], ensemble=TabM(4, blocks=())),
            ValueError,
            "blocks have 0 inputs",
        ),
        (
            lambda: MLP([5, 2], ensemble=4),
            TypeError,
            r"ensemble is 4, expected None or one such",
        ),
        (
            lambda: MLP([5, 4, 2], parametrization="ntk", ensemble=TabM(4)),
            ValueError,
            "parametrization is 'ntk', which TabM does not have; take TabMMini",
        ),
    ],
)
def test_invalid_ensembles_raise(make, error, message):
    with pytest.raises(error, match=message):
        make()
