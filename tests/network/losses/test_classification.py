"""Softmax cross-entropy: by hand, exactly, at extremes, stacked."""

import math

import mpmath
import numpy as np
import pytest

from pluggable_mlp.network.losses import softmax_cross_entropy
from pluggable_mlp.special import softmax
from tests.network import reference
from tests.network.differences import central_differences, on_grid

U = {"float32": 2.0**-24, "float64": 2.0**-53}


def loss_of(backend, z, targets, dtype="float64"):
    """The loss and dz on the host."""
    targets = np.asarray(targets)
    kind = dtype if targets.dtype.kind == "f" else None
    loss, dz = softmax_cross_entropy(
        backend.xp,
        backend.asarray(np.asarray(z), dtype=dtype),
        backend.asarray(targets, dtype=kind),
    )
    return backend.to_numpy(loss), backend.to_numpy(dz)


def test_by_hand(backend):
    """z = ln (1, 2, 5) and ln (1, 1, 1): softmax (1, 2, 5)/8 and (1, 1, 1)/3; targets 2 and 0.

    loss = (ln(8/5) + ln 3) / 2;  dz = ((1, 2, -3)/8, (-2, 1, 1)/3) / 2.
    """
    z = np.log([[1.0, 2.0, 5.0], [1.0, 1.0, 1.0]])
    loss, dz = loss_of(backend, z, [2, 0])
    # z itself is rounded; with exp, log and sums of three, fewer than 20 roundings of numbers < 2.
    bound = 20 * 2 * U["float64"]
    assert abs(loss - (math.log(8 / 5) + math.log(3)) / 2) <= bound
    expected = [[1 / 16, 2 / 16, -3 / 16], [-1 / 3, 1 / 6, 1 / 6]]
    assert abs(dz - np.asarray(expected)).max() <= bound


@pytest.mark.parametrize("rows", [False, True], ids=["indices", "rows"])
def test_against_exact_arithmetic(backend, rows):
    """mpmath at 40 digits, within the bound that goes with the textbook's lines."""
    rng = np.random.default_rng(0)
    z, labels = 5 * rng.normal(size=(6, 7)), rng.integers(0, 7, size=6)
    t = reference.one_hot(labels, 7)
    bounded, dz_bounded = reference.cross_entropy(reference.exactly(z), t)
    loss, dz = loss_of(backend, z, t if rows else labels)
    with mpmath.workdps(40):
        exponentials = [[mpmath.exp(v) for v in row] for row in z.tolist()]
        sums = [sum(row) for row in exponentials]
        exact = sum(
            mpmath.log(total / row[k])
            for row, total, k in zip(exponentials, sums, labels, strict=True)
        ) / len(labels)
        assert abs(float(loss) - exact) <= bounded.error
        for i, (row, total) in enumerate(zip(exponentials, sums, strict=True)):
            for j, value in enumerate(row):
                slope = (value / total - t[i, j]) / len(labels)
                assert abs(float(dz[i, j]) - slope) <= dz_bounded.error[i, j]


@pytest.mark.parametrize("targets", ["indices", "one-hot", "probabilities"])
def test_gradients_against_central_differences(backend, targets):
    rng = np.random.default_rng(1)
    z, labels = on_grid(rng.normal(size=(3, 4))), rng.integers(0, 4, size=3)
    t = {
        "indices": labels,
        "one-hot": reference.one_hot(labels, 4),
        "probabilities": rng.dirichlet(np.ones(4), size=3),
    }[targets]
    _, dz = loss_of(backend, z, t)
    rows = reference.one_hot(labels, 4) if t.ndim == 1 else t
    f_error = 1.01 * reference.cross_entropy(reference.exactly(z), rows)[0].error
    slopes, bounds = central_differences(
        lambda moved: float(loss_of(backend, moved, t)[0]), z, f_error
    )
    assert (abs(dz - slopes) <= bounds).all()
    assert (bounds < 1e-6).all()


@pytest.mark.parametrize("dtype", U)
@pytest.mark.parametrize("rows", [False, True], ids=["indices", "rows"])
def test_logits_of_ten_thousand(backend, dtype, rows):
    """Right: nothing; wrong: the full 2e4; a tie: ln 2; and no warning (all are errors here).

    Four networks with one example each.  exp(-2e4) is 0 in both dtypes, so the first two are
    exact, and so are all gradients.
    """
    z = np.asarray([[[1e4, -1e4]], [[1e4, -1e4]], [[1e4, 1e4]], [[-1e4, -1e4]]])
    labels = np.asarray([[0], [1], [0], [1]])
    targets = np.stack([reference.one_hot(of, 2) for of in labels]) if rows else labels
    loss, dz = loss_of(backend, z, targets, dtype)
    assert loss[:2].tolist() == [0.0, 2e4]
    assert dz[:2].tolist() == [[[0.0, 0.0]], [[1.0, -1.0]]]
    assert abs(loss[2:] - math.log(2)).max() <= 8 * U[dtype]
    assert dz[2:].tolist() == [[[-0.5, 0.5]], [[0.5, -0.5]]]


@pytest.mark.parametrize("dtype", U)
def test_the_largest_and_smallest_finite_logits(backend, dtype):
    """Half the largest number and its negative: their difference is still finite."""
    top = float(np.finfo(dtype).max) / 2
    loss, dz = loss_of(backend, [[top, -top], [0.0, 0.0]], [0, 0], dtype)
    assert np.isfinite(loss)
    assert np.isfinite(dz).all()


def test_a_shift_of_the_logits_changes_nothing(backend):
    """Integers plus 1024 are exact, so the bits are the same."""
    z, labels = np.asarray([[1.0, 5.0, -3.0], [0.0, 2.0, 2.0]]), [0, 2]
    loss, dz = loss_of(backend, z, labels)
    shifted_loss, shifted_dz = loss_of(backend, z + 1024.0, labels)
    assert loss == shifted_loss
    assert (dz == shifted_dz).all()


def test_the_loss_is_a_mean_over_the_batch_and_softmax_a_row_each(backend):
    """An example doubled changes no loss; each row of probabilities sums to 1 on its own."""
    z = np.asarray([[1.0, 2.0, 3.0], [-5.0, 0.0, 5.0]])
    one, dz = loss_of(backend, z, [0, 1])
    two, dz_of_two = loss_of(backend, np.concatenate([z, z]), [0, 1, 0, 1])
    assert abs(one - two) <= 8 * U["float64"] * one
    assert abs(dz_of_two[:2] - dz / 2).max() <= 8 * U["float64"]
    p = softmax(backend.xp, backend.asarray(z))
    assert abs(backend.to_numpy(p).sum(axis=1) - 1.0).max() <= 8 * U["float64"]


def test_leading_axes_are_networks(backend):
    """A loss for each network, a mean over its own batch alone.

    A library may sum a stack in another order than a single network: the bound allows that.
    """
    rng = np.random.default_rng(2)
    z, labels = rng.normal(size=(2, 3, 5, 4)), rng.integers(0, 4, size=(2, 3, 5))
    loss, dz = loss_of(backend, z, labels)
    assert loss.shape == (2, 3)
    for index in np.ndindex(2, 3):
        expected, expected_dz = reference.cross_entropy(
            reference.exactly(z[index]), reference.one_hot(labels[index], 4)
        )
        reference.assert_within(loss[index], expected)
        reference.assert_within(dz[index], expected_dz)


def test_nothing_is_changed_in_place():
    rng = np.random.default_rng(3)
    z, t = rng.normal(size=(3, 4)), reference.one_hot(np.asarray([0, 1, 2]), 4)
    before = z.tobytes(), t.tobytes()
    softmax_cross_entropy(np, z, t)
    softmax(np, z)
    assert (z.tobytes(), t.tobytes()) == before


def test_softmax_uses_the_maximum_of_each_row(backend):
    """Rows 2e4 apart: against the other's maximum, one would be 0 / 0."""
    z = np.asarray([[1e4, 1e4], [-1e4, -1e4], [1e4, -1e4]])
    p = softmax(backend.xp, backend.asarray(z, dtype="float32"))
    assert backend.to_numpy(p).tolist() == [[0.5, 0.5], [0.5, 0.5], [1.0, 0.0]]
