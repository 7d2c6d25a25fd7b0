"""The library changes nothing outside its own calls: pictures of the process, before and after."""

import doctest
import locale
import os
import random
import signal
import sys
import threading
import warnings
from decimal import getcontext
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import pluggable_mlp
from pluggable_mlp import MLP, MLPClassifier, get_backend, train
from pluggable_mlp.arrays.shortcuts import in_context
from pluggable_mlp.cli import main
from pluggable_mlp.testing.conformance import CHECKS

pytestmark = pytest.mark.as_user

SIGNALS = [*{signal.SIGINT, signal.SIGTERM}]
RUN = ["--data", "digits", "--hidden", "4", "--epochs", "1"]
COMMANDS = {
    "backends": [],
    "data": ["digits"],
    "train": [*RUN, "--quiet", "--output", "{run}", "--backend", "{spec}"],
    "evaluate": ["{run}", "--backend", "{spec}"],
    "predict": ["{run}", "{images}", "--backend", "{spec}"],
    "report": ["{run}"],
    "plot": ["{run}"],
    "export": ["{run}"],
    "verify": ["{run}", "--backend", "{spec}"],
    "check": ["{spec}"],
    "compare": ["--hidden", "4", "--steps", "1", "--backends", "numpy,{spec}"],
}


NEEDED = {"plot": ["matplotlib"], "report": ["matplotlib"], "export": ["ndonnx"]}


def picture() -> dict[str, Any]:
    """Everything that a program may have set for itself, as text."""
    seen: dict[str, Any] = {
        "numpy": (np.geterr(), np.get_printoptions(), np.random.get_state()),
        "random": random.getstate(),
        "warnings": list(warnings.filters),
        "environment": {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"},
        "signals": [signal.getsignal(number) for number in SIGNALS],
        "process": (os.getcwd(), locale.setlocale(locale.LC_ALL), sys.path, sys.excepthook),
        "decimal": getcontext(),
    }
    if jax := sys.modules.get("jax"):
        seen["jax"] = {name: getattr(jax.config, name, None) for name in jax.config.values}
        seen["float"] = str(jax.numpy.arange(3.0).dtype)
    if torch := sys.modules.get("torch"):
        seen["torch"] = (
            torch.get_default_dtype(),
            torch.get_default_device(),
            torch.is_grad_enabled(),
            torch.get_num_threads(),
            torch.are_deterministic_algorithms_enabled(),
            torch.get_float32_matmul_precision(),
            torch.get_rng_state().tolist(),
        )
    if cupy := sys.modules.get("cupy"):
        seen["cupy"] = cupy.cuda.Device().id
    return {name: repr(value) for name, value in seen.items()}


@pytest.fixture
def spec(backend) -> str:
    """A backend's name; the last device of CuPy, which is not the current one if there are two."""
    if type(backend).__name__.startswith("Readonly"):
        pytest.skip("it is the tests' own")
    return f"cupy:{len(backend.devices()) - 1}" if backend.name == "cupy" else backend.name


@pytest.fixture
def unchanged(backend):
    """Take the pictures around a test."""
    backend.synchronize()  # its library is imported
    before = picture()
    yield before
    assert picture() == before


EXAMPLES = {
    name: examples
    for name in pluggable_mlp.__all__
    if (examples := doctest.DocTestFinder(recurse=False).find(getattr(pluggable_mlp, name), name))
}


def test_public_names_leave_the_process_as_it_was(spec, unchanged):
    """Their examples, on every backend in the place of NumPy's."""
    for name, examples in EXAMPLES.items():
        for example in examples:
            example.globs = {}
            for part in example.examples:
                part.source = part.source.replace('get_backend("numpy")', f'get_backend("{spec}")')
            doctest.DocTestRunner(verbose=False).run(example, out=lambda _: None)
        assert picture() == unchanged, name


def test_commands_leave_the_process_as_it_was(spec, unchanged, tmp_path, monkeypatch, capsys):
    for check in {*CHECKS} - {"members", "context", "training"}:
        monkeypatch.delitem(CHECKS, check)  # the others take long
    images = tmp_path / "images.npy"
    np.save(images, np.zeros((2, 64), np.uint8))
    for name, options in COMMANDS.items():
        if not all(map(find_spec, NEEDED.get(name, ()))):
            continue
        words = [word.format(run=tmp_path / "run", spec=spec, images=images) for word in options]
        monkeypatch.setattr(sys, "argv", ["pluggable-mlp", name, *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code, capsys.readouterr().err
        assert picture() == unchanged, name


@pytest.mark.quick_on("jax:cpu")
def test_users_code_between_and_beside_has_its_own_settings(spec, unchanged):
    """In callbacks, between the steps of a generator, and in another thread."""
    place, seen = get_backend(spec), []
    x, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2

    def look(_: object = None) -> None:
        seen.append(picture())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        filters = repr(list(warnings.filters))
        train(MLP([3, 2]), x, y, backend=place, epochs=2, callbacks=[look])
        for solver in ("adam", "lbfgs"):
            X = place.asarray(x)
            model = MLPClassifier((2,), solver=solver, max_iter=2, random_state=0, callbacks=look)
            assert model.fit(X, y).predict_proba(X).dtype == X.dtype == place.xp.float64
        for _ in in_context(place.context, iter([place.asarray(x)] * 2)):
            look()
        with place.context():
            thread = threading.Thread(target=look)
            thread.start()
            thread.join()
    assert len(seen) >= 7
    assert all(one == {**unchanged, "warnings": filters} for one in seen)
