"""`parameters_sha256_`: what it is the hash of, and that fits elsewhere have the same."""

import hashlib

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.exceptions import NotFittedError

from pluggable_mlp import HuberLoss, MLPClassifier, MLPRegressor, PrecisionWarning

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make_classification(30, 4, random_state=0)
SETTINGS = {
    "hidden_layer_sizes": (4,),
    "random_state": 0,
    "max_iter": 4,
    "arithmetic": "reproducible",
}


def test_it_is_the_hash_of_the_weights_and_biases_of_each_layer(tmp_path):
    model = MLPClassifier(**SETTINGS)
    with pytest.raises(NotFittedError):
        _ = model.parameters_sha256_
    model.fit(X, Y)
    arrays = [array for pair in zip(model.coefs_, model.intercepts_, strict=True) for array in pair]
    expected = hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
    assert model.parameters_sha256_ == expected
    model.save(tmp_path / "model")
    assert MLPClassifier.load(tmp_path / "model").parameters_sha256_ == expected
    assert model.partial_fit(X, Y).parameters_sha256_ != expected


def test_other_data_and_other_parameters_have_other_hashes():
    fits = ((X, {}), (X + 1e-9, {}), (X, {"alpha": 0.01}))
    models = [MLPClassifier(**SETTINGS | other).fit(inputs, Y) for inputs, other in fits]
    assert len({model.parameters_sha256_ for model in models}) == 3


CASES = {
    "callback": MLPClassifier(class_weight={0: 2.0}, callbacks=lambda model: model.n_iter_ == 2),
    "lbfgs": MLPClassifier(solver="lbfgs"),
    "early stopping": MLPClassifier(early_stopping=True, batch_size=8, dropout=0.1),
    "members": MLPClassifier(n_members=2, norm="layer"),
    "regression": MLPRegressor(HuberLoss(0.5), activation=["gelu"], solver="sgd"),
}


@pytest.mark.parametrize("estimator", CASES.values(), ids=CASES)
def test_a_fit_elsewhere_has_the_same(estimator):
    pytest.importorskip("torch")
    model = clone(estimator).set_params(**SETTINGS)
    places = ({}, {"backend": "torch"}, {"backend": "array_api_strict", "device": "device1"})
    fits = [clone(model).set_params(**place).fit(X, Y, np.arange(1.0, 31.0)) for place in places]
    assert len({fit.parameters_sha256_ for fit in fits}) == 1
    assert len({tuple(getattr(fit, "loss_curve_", [fit.loss_])) for fit in fits}) == 1


def test_numbers_that_reproducible_products_lose_are_warned_of():
    wide = X * np.asarray([1.0, 1e12, 1.0, 1.0])
    with pytest.warns(PrecisionWarning, match="numbers of inputs") as found:
        MLPClassifier(**SETTINGS).fit(wide.astype("float32"), Y)
    lines = {warning.filename for warning in found if warning.category is PrecisionWarning}
    assert lines == {__file__}  # the one that called fit
