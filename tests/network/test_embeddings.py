"""Embeddings: against rtdl_num_embeddings over 50 steps, by hand, their buffers, and errors."""

import numpy as np
import pytest

from pluggable_mlp import (
    MLP,
    Adam,
    Categories,
    Periodic,
    PiecewiseLinear,
    TabMMini,
    first_state,
    get_backend,
    training_step,
)
from tests.published import recorded, summary

NUMPY = get_backend("numpy")
# Widths are powers of two: the package rounds their reciprocals to float32.
EDGES = [[-1.5, -0.5, 0.0, 1.0], [-1.0, 0.0, 0.5, 2.5], [-2.0, 0.0, 0.5, 2.5]]
SIZE, STEPS = 4, 50


def by_hand():
    """A layer with the edges 0, 1, 3, and its parameters: w = 10, b = 100, V = (1000, 2000)."""
    layer = PiecewiseLinear([[0.0, 1.0, 3.0]], size=1)
    drawn = layer.initial(lambda shapes, *_: {"W": np.zeros(shapes["W"])})
    parameters = {name: np.asarray(drawn[name]) for name in layer.buffers}
    parameters |= {"embedding_w": np.asarray([[10.0]]), "embedding_b": np.asarray([[100.0]])}
    parameters["embedding_V"] = np.asarray([[[1000.0], [2000.0]]])
    return layer, parameters


def test_components_by_hand():
    """Edges 0, 1, 3: at x = 2 the components are 1 (clipped) and 1/2; at -1 they are -1 and 0.

    w = 10, b = 100 and V = (1000, 2000): 20 + 100 + 1000 + 1000, and -10 + 100 - 1000.
    At 5 they are 1 and 2: 50 + 100 + 1000 + 4000.  The second input passes through.
    """
    layer, parameters = by_hand()
    x = np.asarray([[2.0, 7.0], [-1.0, 8.0], [5.0, 9.0]])
    y, _ = layer.forward(NUMPY.xp, parameters, x)
    assert y.tolist() == [[2120.0, 7.0], [-910.0, 8.0], [5150.0, 9.0]]


def test_a_number_on_an_edge_passes_the_gradient_on():
    """As PyTorch's clamp does, here to both of its bins: dx = 10 + 1000 / 1 + 2000 / 2."""
    layer, parameters = by_hand()
    x = np.asarray([[1.0], [0.5], [2.0]])
    _, backward = layer.forward(NUMPY.xp, parameters, x)
    dx, _ = backward(np.ones((3, 1)))
    assert dx.tolist() == [[2010.0], [1010.0], [1010.0]]


def test_initial_parameters_are_those_of_a_linear_embedding():
    mlp = MLP([3, 2], embedding=PiecewiseLinear(EDGES, size=100))
    first, dense = mlp.initialize(seed=0, backend=NUMPY)
    assert dense["W"].shape == (300, 2)
    assert not first["embedding_V"].any()
    for name in ("embedding_w", "embedding_b"):
        assert 0.09 < abs(first[name]).max() < 0.1  # 1 / sqrt(100)
    assert (first["embedding_w"] != first["embedding_b"]).all()
    trained, buffers = mlp.split([first, dense])
    assert list(trained[0]) == ["embedding_w", "embedding_b", "embedding_V"]
    assert list(buffers[0]) == ["left", "inverse_width", "low", "high"]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-5)])
def test_fifty_steps_agree_with_rtdl_num_embeddings(dtype, tolerance):
    mlp = MLP([3, 2], loss="squared_error", embedding=PiecewiseLinear(EDGES, size=SIZE))
    rng = np.random.default_rng(0)
    x, targets = rng.normal(size=(64, 3)).astype(dtype), rng.normal(size=(64, 2)).astype(dtype)
    parameters = mlp.initialize(seed=1, backend=NUMPY, dtype=dtype)

    case, package = f"piecewise linear, {dtype}", "rtdl_num_embeddings"
    expected = recorded(case, package, lambda: in_rtdl(parameters, x, targets, dtype))
    losses, adam = [], Adam(0.01)
    state = first_state(mlp, adam, parameters)
    for step in range(STEPS):
        rows = slice(step % 4 * 16, step % 4 * 16 + 16)
        loss, state = training_step(mlp, adam, state, x[rows], targets[rows])
        losses.append(float(loss))
    assert losses == pytest.approx(expected["losses"], rel=tolerance, abs=tolerance)
    found = state.parameters[0]
    for name in ("embedding_w", "embedding_b", "embedding_V"):
        np.testing.assert_allclose(summary(found[name]), expected[name], tolerance, tolerance)
    assert abs(found["embedding_V"]).min() > 0.0


def in_rtdl(parameters, x, targets, dtype):
    """The losses and the embedding of the package after so many steps."""
    import rtdl_num_embeddings as theirs
    import torch

    kind = getattr(torch, dtype)
    bins = [torch.tensor(edges) for edges in EDGES]
    embedding = theirs.PiecewiseLinearEmbeddings(bins, SIZE, activation=False, version="B").to(kind)
    head = torch.nn.Linear(3 * SIZE, 2, dtype=kind)
    state = {
        "linear0.weight": parameters[0]["embedding_w"],
        "linear0.bias": parameters[0]["embedding_b"],
        "linear.weight": parameters[0]["embedding_V"],
    }
    tensors = {name: torch.tensor(array) for name, array in state.items()}
    assert not embedding.load_state_dict(tensors, strict=False).unexpected_keys
    head.weight.data = torch.tensor(parameters[1]["W"].T.copy())
    head.bias.data = torch.tensor(parameters[1]["b"])
    optimizer = torch.optim.Adam([*embedding.parameters(), *head.parameters()], lr=0.01)
    losses = []
    for step in range(STEPS):
        rows = slice(step % 4 * 16, step % 4 * 16 + 16)
        y = head(embedding(torch.tensor(x[rows])).flatten(1))
        loss = torch.nn.functional.mse_loss(y, torch.tensor(targets[rows]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    trained = embedding.state_dict()
    names = ("embedding_w", "embedding_b", "embedding_V")
    after = {ours: summary(trained[name]) for name, ours in zip(state, names, strict=True)}
    return {"losses": losses, **after}


def test_initial_parameters_of_waves():
    """Deviations 0.3 of w; phases within pi; V and c within 1/sqrt(16)."""
    embedding = Periodic(200, deviation=0.3)
    first = MLP([200, 2], embedding=embedding).initialize(seed=0, backend=NUMPY)[0]
    assert 0.291 < first["embedding_w"].std() < 0.309
    assert 0.99 * np.pi < abs(first["embedding_b"]).max() < np.pi
    for name in ("embedding_V", "embedding_c"):
        assert 0.24 < abs(first[name]).max() < 0.25
    assert [array.shape for array in first.values()] == [(200, 16)] * 2 + [(200, 16, 3), (200, 3)]


def test_blocks_of_members_are_of_inputs_with_all_their_features():
    embedding = PiecewiseLinear(EDGES[:2], size=3)
    mlp = MLP(
        [4, 2], embedding=embedding, ensemble=TabMMini(20, scaling="normal", blocks=(1, 1, 2))
    )
    r = mlp.initialize(seed=0, backend=NUMPY)[1]["r"]
    assert r.shape == (20, 8)
    for block in (slice(0, 3), slice(3, 6), slice(6, 8)):
        assert (r[:, block] == r[:, block.start, None]).all()
    assert len(np.unique(r)) == 60


def test_a_column_of_a_half_is_of_no_category():
    """All inputs may be columns of categories, here of two and of one."""
    mlp = MLP([3, 2], category_embedding=Categories((2, 1), size=4))
    parameters = mlp.initialize(seed=0, backend=NUMPY)
    columns = np.asarray([[0.5, 0.5, 0.5], [0.0, 0.75, 0.5], [0.5, 0.5, 1.0]], "float32")
    hot = np.asarray([[0, 0, 0], [0, 1, 0], [0, 0, 1]], "float32")
    found, expected = (mlp.logits(parameters, x) for x in (columns, hot))
    assert found.tolist() == expected.tolist()
    assert len(np.unique(found)) == 6


OF_THREE = Categories((1, 2))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: PiecewiseLinear([]), ValueError, "edges is empty, expected those of at least one"),
        (lambda: PiecewiseLinear([[0.0]]), ValueError, r"edges\[0\] is \(0.0,\), expected at"),
        (lambda: PiecewiseLinear([[0, 1], [1, 1]]), ValueError, r"edges\[1\] is .* that increase"),
        (lambda: PiecewiseLinear(3), TypeError, r"edges is 3, expected .* such as \[\[0.0, 0.5, 1"),
        (
            lambda: PiecewiseLinear([["a"]]),
            TypeError,
            r"edges is \[\['a'\]\], expected the edge",
        ),
        (lambda: PiecewiseLinear([[0, 1e-39]]), ValueError, "increase by at least 1e-30"),
        (lambda: PiecewiseLinear([[0, np.inf]]), ValueError, r"edges\[0\] is .* finite numbers"),
        (lambda: PiecewiseLinear([[0, 1]], size=0), ValueError, "size is 0, expected an integer"),
        (lambda: Periodic(0), ValueError, "count is 0, expected an integer of at least 1"),
        (lambda: Periodic(1, size=1), ValueError, "size is 1, expected an integer of at least 2"),
        (lambda: Periodic(1, deviation=-1), ValueError, "deviation is -1, expected a finite"),
        (lambda: Categories(()), ValueError, r"blocks is \(\), expected a sequence of one or more"),
        (lambda: MLP([1, 2], embedding=16), TypeError, "embedding is 16, expected None or one"),
        (
            lambda: MLP([1, 2], embedding=Periodic(2)),
            ValueError,
            "of 2 inputs, but the network",
        ),
        (
            lambda: MLP([4, 2], embedding=Periodic(2), category_embedding=OF_THREE),
            ValueError,
            "category_embedding is of 3 inputs, but the network has 2 without another",
        ),
    ],
)
def test_invalid_embeddings_raise(make, error, message):
    with pytest.raises(error, match=message):
        make()
