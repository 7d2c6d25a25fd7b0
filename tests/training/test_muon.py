"""Muon against torch.optim's trajectory, its iteration against the polynomial it stands for."""

import numpy as np
import pytest

from pluggable_mlp.training.muon import Muon, orthogonalize
from tests.training.optimizer_problem import NUMPY, assert_follows


def test_follows_torch():
    assert_follows("muon", Muon(0.02, momentum=0.9, weight_decay=0.05))


def matrix(shape, singular_values, seed=0):
    """A matrix of these singular values, with its U and V."""
    rng = np.random.default_rng(seed)
    U, _, Vt = np.linalg.svd(rng.normal(size=shape), full_matrices=False)
    return U @ np.diag(singular_values) @ Vt, U, Vt


@pytest.mark.parametrize("shape", [(40, 12), (12, 40), (20, 20), (1, 7), (7, 1)])
def test_nearly_orthogonal(shape):
    """Every singular value above 0.002 of the norm ends in [0.68, 1.21], U and V stay.

    The five-fold polynomial's range on [0.002, 1] is [0.6818, 1.2024].
    """
    singular_values = np.geomspace(1.0, 0.005, min(shape))
    G, U, Vt = matrix(shape, singular_values)
    inner = U.T @ orthogonalize(NUMPY.xp, G) @ Vt.T
    got = np.diag(inner)
    assert np.all((got > 0.68) & (got < 1.21))
    assert np.max(np.abs(inner - np.diag(got))) < 1e-9
    x = singular_values / (np.linalg.norm(singular_values) + 1e-7)
    for _ in range(5):
        x = 3.4445 * x - 4.7750 * x**3 + 2.0315 * x**5
    np.testing.assert_allclose(got, x, rtol=1e-9)


def test_zero_stays_zero():
    assert not orthogonalize(NUMPY.xp, np.zeros((3, 2))).any()
