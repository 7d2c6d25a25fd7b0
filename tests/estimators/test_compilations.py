"""How often JAX compiles while estimators are fitted: once for each shape, not for each fit."""

from contextlib import contextmanager

import pytest
from sklearn.datasets import load_iris

from pluggable_mlp import MLPClassifier

jax = pytest.importorskip("jax")
monitoring = pytest.importorskip("jax.monitoring")

pytestmark = [
    pytest.mark.as_user,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

X, Y = load_iris(return_X_y=True)
compiled = []


@monitoring.register_event_duration_secs_listener  # for good: older versions cannot remove one
def note_compilation(event, seconds, **_):
    if event == "/jax/core/compile/backend_compile_duration":
        compiled.append(seconds)


@contextmanager
def nothing_compiles():
    before = len(compiled)
    yield
    assert len(compiled) == before


def fitted(width, **parameters):
    """Return an estimator that was fitted on JAX; each test has shapes of its own."""
    settings = {"random_state": 0, "max_iter": 3, "backend": "jax", **parameters}
    return MLPClassifier((width,), **settings).fit(X, Y)


def test_equal_fits_compile_once():
    before = len(compiled)
    model = fitted(11)
    assert len(compiled) > before
    with nothing_compiles():
        fitted(11)
        model.fit(X, Y)
        model.partial_fit(X, Y)
        model.partial_fit(X, Y)


@pytest.mark.parametrize(
    ("parameters", "name", "values"),
    [
        ({"solver": "sgd"}, "learning_rate_init", [1e-4, 1e-3, 1e-2]),
        ({"solver": "adam"}, "learning_rate_init", [1e-4, 1e-3, 1e-2]),
        ({"solver": "sgd", "learning_rate": "invscaling"}, "power_t", [0.1, 0.5]),
        ({}, "alpha", [1e-4, 1e-2]),
        ({"dropout": 0.1}, "random_state", [0, 1]),
        pytest.param(
            {"solver": "lbfgs", "arithmetic": "reproducible"},
            "alpha",
            [1e-4, 1e-2],
            marks=(pytest.mark.slow, pytest.mark.nightly),
        ),
    ],
    ids=str,
)
def test_a_grid_of_numbers_compiles_once(parameters, name, values):
    width = 12 + len(parameters)
    fitted(width, **parameters, **{name: values[0]})
    with nothing_compiles():
        losses = [fitted(width, **parameters, **{name: value}).loss_ for value in values]
    assert len(set(losses)) == len(values)
