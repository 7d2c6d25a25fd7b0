"""L-BFGS against SciPy: its inverse Hessian product and line search, its L-BFGS-B's minimum."""

import numpy as np
import pytest

from pluggable_mlp import MLP, train
from pluggable_mlp.namespaces import ARITHMETICS, arithmetic_namespace, unwrapped
from pluggable_mlp.training.lbfgs import LBFGS, Memory, Point, _Line
from tests.training.optimizer_problem import (
    CENTRES,
    CURVATURES,
    NUMPY,
    PUSHES,
    RECORDED,
    SMALL,
    START,
    gradients,
)

LBFGS_RECORDED = RECORDED["lbfgs"]


def as_tree(flat):
    """Eight numbers as two layers' parameters."""
    return [
        {"W": flat[0:4].reshape(2, 2), "b": flat[4:6]},
        {"W": flat[6:8].reshape(2, 1)},
    ]


def as_flat(xp, tree):
    return xp.concat([xp.reshape(x, (-1,)) for of in tree for x in of.values()])


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
        {name: backend.asarray(x, dtype="float64") for name, x in of.items()} for of in start
    ]
    memory = Memory()
    for number, recorded in enumerate(LBFGS_RECORDED["iterations"], start=1):
        _, parameters, memory = optimizer.minimize_step(xp, rosenbrock(xp), parameters, memory)
        got = np.concatenate(
            [backend.to_numpy(x).ravel() for of in parameters for x in of.values()]
        )
        # Rounding errors grow along the valley: the map from one iterate to the next stretches.
        tolerance = 1e-12 if number <= 12 else 1e-8
        assert np.max(np.abs(got - recorded["x"])) <= tolerance * np.max(np.abs(recorded["x"]))
    assert len(memory.pairs) == 4


@pytest.mark.skipif("reproducible" not in ARITHMETICS, reason="no reproducible arithmetic")
def test_same_bits_under_reproducible(backend):
    """Five iterations on the sum of w^4 / 4 - w c, against NumPy's."""

    def after_five(there):
        xp = arithmetic_namespace("reproducible", there.xp)
        parameters, c = (
            [
                {n: xp.asarray(there.asarray(x, dtype="float32")) for n, x in of.items()}
                for of in tree
            ]
            for tree in (SMALL, PUSHES[0])
        )

        def loss_and_gradients(tree):
            loss, gradients = 0.0, []
            for of, of_c in zip(tree, c, strict=True):
                square = {n: w * w for n, w in of.items()}
                for n, w in of.items():
                    loss = loss + xp.sum(square[n] * square[n] * 0.25 - w * of_c[n])
                gradients.append({n: square[n] * w - of_c[n] for n, w in of.items()})
            return loss, gradients

        optimizer = LBFGS()
        memory = Memory()
        for _ in range(5):
            _, parameters, memory = optimizer.minimize_step(
                xp, loss_and_gradients, parameters, memory
            )
        assert len(memory.pairs) > 2
        return (
            memory.loss,
            [s_y for _, _, s_y in memory.pairs],
            [there.to_numpy(x).tobytes() for of in unwrapped(parameters) for x in of.values()],
        )

    assert after_five(backend) == after_five(NUMPY)


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
        return sum(np.sum(x) for of in tree for x in of.values()), [
            {name: -np.ones_like(x) for name, x in of.items()} for of in tree
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


def test_a_pair_of_nearly_orthogonal_step_and_change_is_forgotten():
    """Off the start along (1, 0) the gradient turns by (1e-14, 1): s·y is next to nothing."""

    def loss_and_gradients(tree):
        ahead = tree[0]["W"][0, 0]
        return -ahead, [{"W": np.asarray([[-1.0 + 1e-14 * ahead, float(ahead > 0.0)]])}]

    parameters, optimizer = [{"W": np.zeros((1, 2))}], LBFGS()
    memory = Memory()
    _, _, memory = optimizer.minimize_step(NUMPY.xp, loss_and_gradients, parameters, memory)
    assert memory.pairs == ()
    assert not memory.finished


def test_a_change_whose_square_vanishes_is_forgotten():
    """y of 1e-30 in float32: s·y is above 0, y·y is not, and would divide."""
    old, new = (
        Point(0.0, 0.0, 0.0, [], [{"W": np.full((1, 1), g, dtype="float32")}])
        for g in (-2e-30, -1e-30)
    )
    direction = [{"W": np.ones((1, 1), dtype="float32")}]
    assert _Line(NUMPY.xp, None).pair(old, new._replace(step=1.0), direction) == []


def test_inputs_do_not_change():
    optimizer = LBFGS(history=2)
    parameters, memory = START, Memory()
    for _ in range(5):
        pairs = [tree for s, y, _ in memory.pairs for tree in (s, y)]
        for tree in (parameters, memory.gradients, *pairs):
            for of in tree:
                for array in of.values():
                    array.flags.writeable = False
        _, parameters, memory = optimizer.minimize_step(
            NUMPY.xp, loss_and_gradients, parameters, memory
        )


class WithoutDevice(np.ndarray):
    """An array that does not tell its device, as dask's."""

    @property
    def device(self):
        raise AttributeError("device")


def test_parameters_need_not_tell_their_device(monkeypatch):
    monkeypatch.setattr(
        "pluggable_mlp.training.steps.first_array", lambda tree: tree[0]["W"].view(WithoutDevice)
    )
    x, y = np.random.default_rng(0).normal(size=(6, 3)), np.asarray([0, 1, 0, 1, 1, 0])
    result = train(MLP([3, 2]), x, y, backend=NUMPY, optimizer=LBFGS(), epochs=2)
    assert result.history[1] < result.history[0]


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
