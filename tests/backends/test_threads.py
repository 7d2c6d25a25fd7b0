"""Concurrent tasks give the results of the loop, and leave the threads of BLAS as before."""

import os
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from pluggable_mlp.backends.numpy import NumpyBackend
from tests.namespaces.reproducible.kernels import affine, matmul

SOON = 20.0  # seconds
run_all = NumpyBackend.run_all


@pytest.fixture(autouse=True)
def two_threads():
    """As on a machine with two processors, whatever this one has."""
    with threadpool_limits(2, user_api="blas"):
        yield


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.mark.parametrize("count", range(8))
def test_the_results_stand_in_the_order_of_the_items(count):
    assert run_all(lambda item: item * item, range(count)) == [i * i for i in range(count)]


def test_two_tasks_run_at_once():
    assert run_all.at_once == 2
    both = threading.Barrier(2, timeout=SOON)

    def meet(_):
        both.wait()
        return threading.get_ident()

    assert len(set(run_all(meet, [0, 1]))) == 2


@pytest.mark.parametrize(("count", "expected"), [("3", 3), (None, os.cpu_count())])
def test_accelerate_of_macos_has_a_variable_of_its_own(monkeypatch, count, expected):
    """It is unknown to threadpoolctl."""
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(run_all, "_blas", SimpleNamespace(lib_controllers=[]))
    monkeypatch.delenv("VECLIB_MAXIMUM_THREADS", raising=False)
    if count is not None:
        monkeypatch.setenv("VECLIB_MAXIMUM_THREADS", count)
    assert run_all.at_once == expected


def test_blas_has_one_thread_meanwhile_and_its_own_number_after():
    before = blas_threads()
    assert run_all(lambda _: blas_threads(), [0, 1, 2]) == [{1}] * 3
    assert run_all(lambda _: blas_threads(), [0]) == [{1}]
    assert blas_threads() == before == {2}


def test_an_interrupt_starts_no_other_task():
    begun = []

    def interrupt(item):
        begun.append(item)
        time.sleep(0.05)
        if item == 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_all(interrupt, range(200))
    assert len(begun) < 200  # all of them would take five seconds
    assert blas_threads() == {2}


@pytest.mark.parametrize("bad", [0, 1])
def test_an_error_comes_when_those_that_run_are_done(bad):
    done, both = [], threading.Barrier(2, timeout=SOON)

    def fail(item):
        both.wait()
        if item == bad:
            raise ArithmeticError(f"task {item}")
        time.sleep(0.05)
        done.append(item)

    with pytest.raises(ArithmeticError, match=f"task {bad}"):
        run_all(fail, [0, 1])
    assert done == [1 - bad]
    assert blas_threads() == {2}


def test_what_is_done_about_overflow_holds_in_every_task():
    huge = np.full(4, 1e38, dtype=np.float32)
    with np.errstate(over="ignore"):
        assert np.isinf(run_all(lambda _: huge * huge, [0, 1])).all()
    both, elsewhere = threading.Barrier(2, timeout=SOON), []

    def overflow_elsewhere(_):
        both.wait()  # so that neither takes both tasks
        if threading.current_thread() is not threading.main_thread():
            elsewhere.append(huge * huge)

    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        run_all(overflow_elsewhere, [0, 1])
    with np.errstate(over="ignore"):
        run_all(overflow_elsewhere, [0, 1])
    assert len(elsewhere) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system lacks fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning", "ignore:.*fork.*:RuntimeWarning")
def test_a_forked_process_has_threads_of_its_own():
    run_all(lambda item: item, [0, 1])
    child = os.fork()
    if child == 0:
        os._exit(0 if run_all(lambda item: item + 1, [0, 1]) == [1, 2] else 1)
    alarm = threading.Timer(SOON, os.kill, (child, 9))  # it would wait for threads it has not
    alarm.start()
    _, status = os.waitpid(child, 0)
    alarm.cancel()
    assert status == 0


AT_EXIT = """
import atexit
from threadpoolctl import threadpool_limits
from pluggable_mlp.backends import get_backend

def run():
    print(run_all(abs, [-1, -2, -3]))

run_all = get_backend("numpy").run_all
threadpool_limits(2, user_api="blas")
atexit.register(run)
"""


def test_tasks_run_when_the_interpreter_ends():
    run = subprocess.run(
        [sys.executable, "-c", AT_EXIT], capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stdout == "[1, 2, 3]\n", run.stderr


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_bit_of_a_product_depends_on_the_threads(dtype):
    rng = np.random.default_rng(3)
    a = rng.standard_normal((700, 300)).astype(dtype)
    b = rng.standard_normal((300, 600)).astype(dtype)
    bias = rng.standard_normal(600).astype(dtype)
    seen = set()
    both = threading.Barrier(2, timeout=SOON)

    def noting(function, items):
        def task(item):
            if threading.get_ident() not in seen and len(seen) < 2:
                seen.add(threading.get_ident())
                both.wait()  # so that neither takes all
            return function(item)

        return run_all(task, items)

    for x, W in ((a, b), (b.T, a.T)):
        assert matmul(np, x, W, noting).tobytes() == matmul(np, x, W).tobytes()
    assert affine(np, a, b, bias, noting).tobytes() == affine(np, a, b, bias).tobytes()
    assert len(seen) == 2
