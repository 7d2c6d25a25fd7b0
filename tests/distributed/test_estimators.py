"""Estimators that are fitted by several processes: the model is that of one."""

import json
import pickle

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone

from pluggable_mlp import MLPClassifier, MLPRegressor, TableClassifier
from tests.distributed.estimators_program import CASES, CLASSES, WEIGHTS, X, fitted, summary
from tests.distributed.processes import mpiexec
from tests.distributed.threads import on_threads

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("case", CASES)
def test_three_threads_have_the_model_of_one_process(case):
    found = on_threads(3, lambda each: summary(fitted(case, "numpy", each)))
    assert found == [summary(fitted(case, "numpy"))] * 3


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "count"), [("numpy", 1), ("numpy", 3), ("torch", 2)])
def test_mpi_has_the_model_of_one_process(backend, count):
    pytest.importorskip(backend)
    done = mpiexec(count, "-m", "tests.distributed.estimators_program", backend, *CASES)
    assert done.returncode == 0, done.stderr
    expected = {case: summary(fitted(case, "numpy")) for case in CASES}
    assert json.loads(done.stdout) == json.loads(json.dumps(expected))


def test_a_native_fit_agrees_up_to_rounding():
    settings = {"arithmetic": "native", "dropout": 0.0}
    alone = fitted("classifier", "numpy", **settings)
    found = on_threads(2, lambda each: fitted("classifier", "numpy", each, **settings))
    for model in found:
        np.testing.assert_allclose(model.loss_curve_, alone.loss_curve_, rtol=1e-9)
        np.testing.assert_allclose(model.coefs_[0], alone.coefs_[0], rtol=1e-6, atol=1e-9)


def test_a_certificate_of_several_processes_is_verified_on_one_and_on_others():
    [model, _] = on_threads(2, lambda each: fitted("early stopping", "numpy", each))
    certificate = model.certificate_
    assert certificate["made_on"].endswith(", 2 processes")
    weights = X[:, 2] ** 2
    with pytest.raises(ValueError, match="are not those of the certificate"):
        MLPClassifier.verify(certificate, X, CLASSES, weights)

    def verify(communicator):
        again = MLPClassifier.verify(certificate, X, CLASSES, WEIGHTS, communicator=communicator)
        return again.certificate_["losses"]

    assert on_threads(3, verify) == [certificate["losses"]] * 3
    assert verify(None) == certificate["losses"]


@pytest.mark.parametrize(
    "fit_to_classes",
    [
        lambda communicator: fitted("classifier", "numpy", communicator),
        lambda communicator: TableClassifier(
            random_state=0, max_iter=1, communicator=communicator
        ).fit(X, CLASSES),
    ],
)
def test_clones_keep_the_communicator_copies_and_files_do_not(tmp_path, fit_to_classes):
    def keep(communicator):
        model = fit_to_classes(communicator)
        assert clone(model).get_params()["communicator"] is communicator
        loaded = pickle.loads(pickle.dumps(model))
        path = tmp_path / f"{communicator.rank}.safetensors"
        model.save(path)
        for alone in (loaded, type(model).load(path)):
            assert alone.communicator is None
            np.testing.assert_array_equal(alone.predict(X), model.predict(X))
        return True

    assert all(on_threads(2, keep))


def fit(communicator, x=X, **parameters):
    return MLPRegressor(
        **{"random_state": 0, "max_iter": 3, "communicator": communicator, **parameters}
    ).fit(x, np.arange(len(X)) * 0.1)


def test_a_callback_of_one_process_stops_all():
    def stop(communicator):
        ends = lambda model: communicator.rank == 1 and model.n_iter_ == 2  # noqa: E731
        return fit(communicator, callbacks=ends if communicator.rank else None).n_iter_

    assert on_threads(2, stop) == [2, 2]


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        (
            lambda rank: {"random_state": None},
            "random_state of process 1 differs .*; fitted parameters of process 1 differs",
        ),
        (lambda rank: {"tol": 0.1 + rank}, "tol of process 1 is 1.1, expected 0.1"),
        (lambda rank: {"x": X + rank}, "X of process 1 differs"),
        (lambda rank: {"x": csr_array(X)}, "X is sparse, and communicator= takes dense arrays"),
    ],
)
def test_processes_must_fit_alike(settings, error):
    states = [np.random.RandomState(seed) for seed in (0, 1)]

    def unlike(communicator):
        given = settings(communicator.rank)
        if given.get("random_state", 0) is None:
            given["random_state"] = states[communicator.rank]  # as processes draw from None
        return fit(communicator, **given)

    with pytest.raises(ValueError, match=error):
        on_threads(2, unlike)


def test_only_the_first_process_prints(capsys):
    on_threads(2, lambda each: fit(each, verbose=True))
    assert capsys.readouterr().out.count("Iteration 2") == 1


def test_what_is_no_communicator_is_refused():
    with pytest.raises(ValueError, match="The 'communicator' parameter of MLPRegressor"):
        fit("mpi")
