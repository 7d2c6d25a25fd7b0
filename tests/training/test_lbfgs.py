"""L-BFGS against SciPy: its inverse Hessian product and line search, its L-BFGS-B's minimum."""

import numpy as np
import pytest

from pluggable_mlp import MLP, train
from pluggable_mlp.training.lbfgs import LBFGS, Memory
from tests.training.optimizer_problem import CENTRES, CURVATURES, NUMPY, RECORDED, START, gradients

LBFGS_RECORDED = RECORDED["lbfgs"]


def as_tree(flat):
    """Eight numbers as two layers' parameters."""
    return [
        {"W": flat[0:4].reshape(2, 2), "b": flat[4:6]},
        {"W": flat[6:8].reshape(2, 1)},
    ]


def as_flat(xp, tree):
    return xp.concat([xp.reshape(x, (-1,)) for layer in tree for x in layer.values()])


def rosenbrock(xp):
    """Rosenbrock's function: the sum of 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2."""

    def loss_and_gradients(tree):
        x = as_flat(xp, tree)
        valley = x[1:] - x[:-1] * x[:-1]
        slope = 1.0 - x[:-1]
        loss = xp.sum(100.0 * valley * valley + slope * slope)
        zero = xp.zeros_like(x[:1])
        g = xp.concat([-400.0 * valley * x[:-1] - 2.0 * slope, zero])
        g = g + xp.concat([zero, 200.0 * valley])
        first, second, third = g[0:4], g[4:6], g[6:8]
        return loss, [
            {"W": xp.reshape(first, (2, 2)), "b": second},
            {"W": xp.reshape(third, (2, 1))},
        ]

    return loss_and_gradients


def test_follows_scipy(backend):
    """Its 24 iterations double a step once, and shorten others from both sides."""
    xp = backend.xp
    optimizer = LBFGS(history=LBFGS_RECORDED["history"])
    start = as_tree(np.array(LBFGS_RECORDED["start"]))
    parameters = [
        {name: backend.asarray(x, dtype="float64") for name, x in layer.items()} for layer in start
    ]
    memory = Memory()
    for number, recorded in enumerate(LBFGS_RECORDED["iterations"], start=1):
        _, parameters, memory = optimizer.minimize_step(xp, rosenbrock(xp), parameters, memory)
        got = np.concatenate(
            [backend.to_numpy(x).ravel() for layer in parameters for x in layer.values()]
        )
        # Rounding errors grow along the valley: the map from one iterate to the next stretches.
        tolerance = 1e-12 if number <= 12 else 1e-8
        assert np.max(np.abs(got - recorded["x"])) <= tolerance * np.max(np.abs(recorded["x"]))
    assert len(memory.pairs) == 4


def loss_and_gradients(parameters):
    """The problem's first loss: convex."""
    loss = sum(
        np.sum(a[name] / 2 * (w - c[name][0]) ** 2 + w**4 / 4)
        for of, a, c in zip(parameters, CURVATURES, CENTRES, strict=True)
        for name, w in of.items()
    )
    return loss, gradients(parameters, 0)


def test_reaches_the_minimum_of_scipys_lbfgsb_and_finishes():
    optimizer, parameters = LBFGS(), START
    memory = Memory()
    losses = []
    for _ in range(60):
        _, parameters, memory = optimizer.minimize_step(
            NUMPY.xp, loss_and_gradients, parameters, memory
        )
        losses.append(memory.loss)
        if memory.finished:
            break
    assert memory.finished
    assert losses == sorted(losses, reverse=True)
    optimum = LBFGS_RECORDED["optimum"]
    assert losses[-1] == pytest.approx(optimum["loss"], rel=1e-14)
    # Near a minimum the loss's rounding hides steps of the root of a rounding.
    np.testing.assert_allclose(as_flat(np, parameters), optimum["flat"], atol=1e-7)
    _, same, still = optimizer.minimize_step(NUMPY.xp, None, parameters, memory)
    assert same is parameters
    assert still is memory


def test_without_a_decrease_it_finishes_where_it_was():
    parameters = [{"W": np.ones((1, 1)), "b": np.ones(1)}]

    def rising(tree):
        # A gradient of the wrong sign: every step along it raises the loss.
        return sum(np.sum(x) for layer in tree for x in layer.values()), [
            {name: -np.ones_like(x) for name, x in layer.items()} for layer in tree
        ]

    optimizer = LBFGS()
    _, same, memory = optimizer.minimize_step(NUMPY.xp, rising, parameters, Memory())
    assert same is parameters
    assert memory.finished


@pytest.mark.parametrize(
    ("loss", "gradient"),
    [
        (lambda x: -x.sum(), lambda x: -np.ones_like(x)),
        (lambda x: -(x * x).sum() / 2, lambda x: -x),
    ],
    ids=["linear", "concave"],
)
def test_a_pair_without_curvature_is_forgotten(loss, gradient):
    """Where the slope stays or steepens, s·y is 0 or negative: H would not be positive."""
    parameters = [{"W": np.ones((1, 1))}]

    def loss_and_gradients(tree):
        return loss(tree[0]["W"]), [{"W": gradient(tree[0]["W"])}]

    optimizer = LBFGS()
    memory = Memory()
    for _ in range(3):
        before = loss(parameters[0]["W"])
        _, parameters, memory = optimizer.minimize_step(
            NUMPY.xp, loss_and_gradients, parameters, memory
        )
        assert memory.loss < before
        assert memory.pairs == ()
        assert not memory.finished


def test_out_of_range():
    with pytest.raises(ValueError, match="history is 0, expected an integer of at least 1"):
        LBFGS(history=0)


def test_no_parameters_are_evaluated_twice():
    """Neither the initial ones, nor those that an iteration ends and the next begins with."""
    seen = []

    def loss(xp, z, targets, sample_weight):
        seen.append(z.tobytes())
        dz = (z - targets) / z.shape[0]
        return xp.sum(dz * (z - targets)) / 2.0, dz

    rng = np.random.default_rng(0)
    x, targets = rng.normal(size=(20, 3)), rng.normal(size=(20, 2))
    settings = {"optimizer": LBFGS(), "epochs": 3, "batch_size": 20, "dtype": "float64"}
    train(MLP([3, 2], loss=loss), x, targets, backend=NUMPY, **settings)
    assert len(set(seen)) == len(seen) >= 4
