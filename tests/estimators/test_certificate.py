"""Certificates of fits: what they hold, and what they are equal in."""

import json

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification

from pluggable_mlp import HuberLoss, MLPClassifier, MLPRegressor, PrecisionWarning

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make_classification(30, 4, random_state=0)
SETTINGS = {
    "hidden_layer_sizes": (4,),
    "random_state": 0,
    "max_iter": 4,
    "arithmetic": "reproducible",
}


def test_two_libraries_have_the_same_but_for_where_it_was_made():
    elsewhere = {"backend": "array_api_strict", "device": "device1"}
    models = [MLPClassifier(**SETTINGS, **place).fit(X, Y) for place in ({}, elsewhere)]
    certificates = [dict(model.certificate_) for model in models]
    places = [certificate.pop("made_on") for certificate in certificates]
    hashes = [certificate.pop("sha256") for certificate in certificates]
    assert [place.split(" ")[0] for place in places] == ["numpy", "array_api_strict"]
    assert certificates[0] == certificates[1]
    assert hashes[0] != hashes[1]
    expected = [(n, loss.hex()) for n, loss in enumerate(models[0].loss_curve_, 1)]
    assert [(of["epoch"], of["train_loss"]) for of in certificates[0]["epochs"]] == expected
    assert certificates[0]["kept_epoch"] == 4


def test_a_certificate_is_of_the_data_and_of_the_parameters():
    certificates = [
        MLPClassifier(**SETTINGS | other).fit(inputs, Y).certificate_
        for inputs, other in ((X, {}), (X + 1e-9, {}), (X, {"alpha": 0.01}))
    ]
    for name, equal in (("data_sha256", [1, 0, 1]), ("settings", [1, 1, 0])):
        assert [certificates[0][name] == each[name] for each in certificates] == equal
    assert len({certificate["final_parameters_sha256"] for certificate in certificates}) == 3
    again = MLPClassifier(**SETTINGS).fit(X, Y)
    assert not hasattr(again.set_params(arithmetic="native").fit(X, Y), "certificate_")


def test_bytes_of_another_type_are_other_data():
    """Two float32 are one float64."""
    single = np.linspace(1.0, 2.0, 60, dtype=np.float32).reshape(30, 2)
    one, other = (
        MLPClassifier(**SETTINGS).fit(inputs, np.arange(30) % 3).certificate_["data_sha256"]
        for inputs in (single, single.view(np.float64))
    )
    assert one != other


def test_only_a_fit_from_fresh_weights_has_one():
    model = MLPClassifier(**SETTINGS, warm_start=True).fit(X, Y)
    assert hasattr(model, "certificate_")
    assert not hasattr(model.partial_fit(X, Y), "certificate_")
    assert not hasattr(model.fit(X, Y), "certificate_")


CASES = {
    "callback": MLPClassifier(class_weight={0: 2.0}, callbacks=lambda model: model.n_iter_ == 2),
    "lbfgs": MLPClassifier(solver="lbfgs"),
    "early stopping": MLPClassifier(early_stopping=True, batch_size=8, dropout=0.1),
    "members": MLPClassifier(n_members=2),
    "regression": MLPRegressor(HuberLoss(0.5), activation=["gelu"], solver="sgd"),
}


@pytest.mark.parametrize("estimator", CASES.values(), ids=CASES)
def test_a_fit_has_its_certificate_elsewhere(estimator):
    pytest.importorskip("torch")
    ours, theirs = (
        clone(estimator).set_params(**SETTINGS, backend=name).fit(X, Y, np.arange(1.0, 31.0))
        for name in ("numpy", "torch")
    )
    certificate = json.loads(json.dumps(ours.certificate_))
    assert certificate.keys() == theirs.certificate_.keys()
    different = {name for name, of in certificate.items() if theirs.certificate_[name] != of}
    assert different == {"made_on", "sha256"}
    assert theirs.coefs_[0].tobytes() == ours.coefs_[0].tobytes()


def test_functions_of_your_own_have_their_names():
    def relu(xp, x):
        return xp.maximum(x, 0.0), lambda dy: xp.where(x > 0.0, dy, 0.0)

    own = MLPClassifier(**SETTINGS, activation=relu).fit(X, Y).certificate_
    assert own["settings"]["activation"]["of_your_own"].endswith("relu")


def test_numbers_that_reproducible_products_lose_are_warned_of():
    wide = X * np.asarray([1.0, 1e12, 1.0, 1.0])
    with pytest.warns(PrecisionWarning, match="numbers of inputs") as found:
        MLPClassifier(**SETTINGS).fit(wide.astype("float32"), Y)
    lines = {warning.filename for warning in found if warning.category is PrecisionWarning}
    assert lines == {__file__}  # the one that called fit
