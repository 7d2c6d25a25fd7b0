"""Estimators of tables that are fitted by several processes: the model is that of one."""

import json
import threading
import time

import numpy as np
import pytest

from pluggable_mlp import TableClassifier
from tests.distributed.processes import mpiexec
from tests.distributed.tables_program import CASES, CLASSES, WEIGHTS, X, fitted, summary
from tests.distributed.threads import on_threads

CASE = "classifier realmlp-td-s"
*OTHERS, LAST = CASES
SOON = ("classifier realmlp-td", "regressor realmlp-td-s")
FEW, ALL = slice(40), slice(None)  # a batch, or one and a smaller last one
pytestmark = pytest.mark.filterwarnings("ignore::pluggable_mlp.DataWarning")


@pytest.mark.parametrize(
    ("case", "rows"),
    [  # in the default suite every kind and every recipe
        *(
            pytest.param(case, FEW, marks=[pytest.mark.slow] * (case not in SOON))
            for case in OTHERS
        ),
        (LAST, ALL),
    ],
)
def test_threads_have_the_model_of_one_process(case, rows):
    def fit(communicator):
        model = fitted(case, communicator, rows=rows)
        assert communicator.reductions > 0
        return summary(model)

    expected = summary(fitted(case, rows=rows))
    for size in (2, 3):
        assert on_threads(size, fit) == [expected] * size


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3])
def test_mpi_has_the_model_of_one_process(count):
    done = mpiexec(count, "-m", "tests.distributed.tables_program", *CASES)
    assert done.returncode == 0, done.stderr
    expected = {case: summary(fitted(case)) for case in CASES}
    assert json.loads(done.stdout) == json.loads(json.dumps(expected))


def test_processes_with_different_libraries_have_the_bits_of_one():
    pytest.importorskip("torch")
    case = "regressor realmlp-td"
    found = on_threads(
        2, lambda each: summary(fitted(case, each, backend=("numpy", "torch")[each.rank]))
    )
    assert found == [summary(fitted(case))] * 2


def test_a_native_fit_agrees_up_to_rounding():
    settings = {"arithmetic": "native", "dtype": "float64"}
    alone = fitted(CASE, **settings)
    for model in on_threads(2, lambda each: fitted(CASE, each, **settings)):
        np.testing.assert_allclose(model.loss_curve_, alone.loss_curve_, rtol=1e-9)
        np.testing.assert_allclose(model.predict_proba(X), alone.predict_proba(X), atol=1e-7)


def test_the_validation_part_is_shared():
    """More of it has to be exchanged than by which epoch is best."""

    def exchanges(communicator):
        counts = []
        for given in ({"eval_set": (X[:2], CLASSES[:2])}, {"validation_fraction": 0.0}):
            before = communicator.exchanges
            fitted(CASE, communicator, rows=FEW, max_iter=1, **given)
            counts.append(communicator.exchanges - before)
        return counts

    for shared, without in on_threads(3, exchanges):
        assert shared > without


@pytest.mark.slow
def test_a_certificate_of_several_processes_is_verified_on_one_and_on_others():
    data = X[FEW], CLASSES[FEW], WEIGHTS[FEW]
    [model, _] = on_threads(2, lambda each: fitted(CASE, each, rows=FEW))
    certificate = model.certificate_
    assert certificate["made_on"].endswith(", 2 processes")
    with pytest.raises(ValueError, match="are not those of the certificate"):
        TableClassifier.verify(certificate, *data[:2])

    def verify(communicator):
        again = TableClassifier.verify(certificate, *data, communicator=communicator)
        return again.certificate_["made_on"].endswith(", 3 processes")

    assert on_threads(3, verify) == [True] * 3
    assert not verify(None)


def test_the_clock_of_the_first_process_ends_all(monkeypatch):
    """Where the second one has the time limit long behind it, and where the first has."""
    clock, faster = time.perf_counter, {}
    monkeypatch.setattr(
        "time.perf_counter", lambda: clock() * faster.get(threading.get_ident(), 1.0)
    )

    def epochs(late, communicator):
        faster[threading.get_ident()] = 1e6 if communicator.rank == late else 1.0
        return fitted(CASE, communicator, rows=FEW, time_limit=500.0).n_iter_

    assert on_threads(2, lambda each: epochs(1, each)) == [2, 2]
    assert on_threads(2, lambda each: epochs(0, each)) == [1, 1]


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        (lambda rank: {"random_state": rank}, "random_state of process 1 is 1, expected 0"),
        (lambda rank: {"max_iter": 1 + rank}, "max_iter of process 1 is 2, expected 1"),
        (lambda rank: {"rows": slice(40 + rank)}, "X of process 1 differs"),
        (
            lambda rank: {"eval_set": (X[rank : rank + 9], CLASSES[rank : rank + 9])},
            "^validation of process 1 differs",
        ),
        (
            lambda rank: {"rows": slice(0, 2), "validation_fraction": 0.0},
            "X has 2 examples for 3 processes, expected at least one for each",
        ),
    ],
)
def test_processes_must_fit_alike(settings, error):
    def fit(communicator):
        return fitted(CASE, communicator, **{"rows": FEW, **settings(min(communicator.rank, 1))})

    with pytest.raises(ValueError, match=error):
        on_threads(3, fit)


def test_only_the_first_process_prints(capsys):
    on_threads(2, lambda each: fitted(CASE, each, rows=FEW, verbose=True))
    assert capsys.readouterr().out.count("Epoch 2") == 1


def test_what_is_no_communicator_is_refused():
    with pytest.raises(ValueError, match="The 'communicator' parameter of TableClassifier"):
        fitted(CASE, "mpi")
