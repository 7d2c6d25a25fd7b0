"""L-BFGS in the estimators: when it ends, and what it forgets."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning

from pluggable_mlp import MLP, MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
SMALLEST_DECREASE = 2.220446049250313e-09  # the default `ftol` of SciPy's L-BFGS-B


def weights(model):
    return [
        {"W": W.copy(), "b": b.copy()} for W, b in zip(model.coefs_, model.intercepts_, strict=True)
    ]


@pytest.mark.parametrize("tol", [0.3, 1e-2, 1e-4])
def test_it_ends_at_the_first_iteration_whose_derivatives_are_within_tol(tol):
    """Of softmax regression, whose derivatives are written here by hand."""
    largest, alpha = [], 1.0

    def note(model):
        W = model.coefs_[0]
        dz = (model.predict_proba(X) - np.eye(3)[Y]) / len(X)
        dW = X.T @ dz + alpha * W / len(X)
        largest.append(max(abs(dW).max(), abs(dz.sum(axis=0)).max()))

    model = MLPClassifier((), solver="lbfgs", alpha=alpha, tol=tol, callbacks=note, random_state=0)
    model.fit(X, Y)
    assert model.n_iter_ == len(largest) > 1
    assert largest[-1] <= tol
    assert min(largest[:-1]) > tol


@pytest.mark.nightly
@pytest.mark.slow
def test_a_step_that_gains_nothing_is_followed_by_one_of_steepest_descent():
    """So at a corner, as relu has: what was learnt of the curvature misleads there."""
    x = np.arange(12.0)[:, None]
    y, alpha = abs(x - 5.0), 0.01
    mlp = MLP([1, 3, 1], activation="relu", loss="squared_error")
    cosines = []
    for seed in range(5):
        losses, path = [], []
        settings = {"alpha": alpha, "tol": 1e-8, "max_iter": 2000, "random_state": seed}
        settings["arithmetic"] = "reproducible"  # the same path on every processor
        model = MLPRegressor(solver="lbfgs", hidden_layer_sizes=(3,), **settings)
        model.set_params(
            callbacks=lambda m, losses=losses, path=path: (
                losses.append(m.loss_),
                path.append(weights(m)),
            )
        ).fit(x, y[:, 0])
        for k in range(1, len(path) - 1):
            if losses[k - 1] - losses[k] > SMALLEST_DECREASE * max(1.0, losses[k - 1]):
                continue
            _, gradients = mlp.loss_and_gradients(path[k], x, y)  # of twice the loss here
            g, step = [], []
            for here, after, gradient in zip(path[k], path[k + 1], gradients, strict=True):
                g += [0.5 * gradient["W"] + alpha / 12 * here["W"], 0.5 * gradient["b"]]
                step += [after["W"] - here["W"], after["b"] - here["b"]]
            g, step = (np.concatenate([a.ravel() for a in arrays]) for arrays in (g, step))
            if np.linalg.norm(step) > 0.0:
                cosines.append(-g @ step / np.linalg.norm(g) / np.linalg.norm(step))
    assert len(cosines) > 3
    assert min(cosines) > 0.99


def test_it_ends_where_steepest_descent_gains_nothing_either():
    """As the second of two iterations in a row whose decrease is within SciPy's `ftol`."""
    losses = []
    settings = {"alpha": 0.1, "tol": 1e-8, "max_iter": 200, "random_state": 2}
    model = MLPClassifier((5,), solver="lbfgs", **settings)
    model.set_params(callbacks=lambda m: losses.append(m.loss_)).fit(X, Y)
    gains = -np.diff(losses)
    small = gains <= SMALLEST_DECREASE * np.maximum(1.0, losses[:-1])
    assert np.flatnonzero(small[:-1] & small[1:]).tolist() in ([], [len(small) - 2])


def test_it_ends_when_the_loss_was_looked_at_too_often():
    """Each iteration looks at it once or more."""
    settings = {"solver": "lbfgs", "random_state": 0, "tol": 0.0}
    assert MLPClassifier((5,), **settings).fit(X, Y).n_iter_ > 20
    with pytest.warns(ConvergenceWarning, match="F,G EVALUATIONS EXCEEDS LIMIT"):
        model = MLPClassifier((5,), **settings, max_fun=20).fit(X, Y)
    assert 1 < model.n_iter_ <= 20
