"""What is special of dpnp: its devices, its queue, its errors, and devices without float64."""

import runpy
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.base import clone

from pluggable_mlp import (
    MLP,
    Periodic,
    PiecewiseLinear,
    TableClassifier,
    TabMMini,
    get_backend,
    make_optimizer,
    train,
)
from pluggable_mlp.backends import BackendUnavailable
from pluggable_mlp.files.hashing import parameters_sha256
from pluggable_mlp.testing.conformance import CHECKS, NotOffered
from tests.cli.conftest import ended

dpnp = pytest.importorskip("dpnp", reason="dpnp is not installed")
dpctl = pytest.importorskip("dpctl", reason="dpnp is not installed")
from pluggable_mlp.backends.dpnp import DpnpBackend  # noqa: E402

X = np.random.default_rng(0).normal(size=(48, 4))
LABELS = (X[:, 1] > 0).astype(np.int64)
PLUG_IN = Path(__file__).parents[2] / "examples" / "plugin" / "sycl.py"


@pytest.mark.parametrize("spec", ["dpnp", "dpnp:cpu", "dpnp:cpu:0", "dpnp:opencl:cpu:0"])
def test_a_device_has_the_name_that_sycl_gives_it(spec):
    backend = get_backend(spec)
    assert backend.device == "opencl:cpu:0"
    assert backend.versions()["driver"] == dpctl.SyclDevice("cpu").driver_version


def test_arrays_belong_to_the_queue_of_their_backend():
    backend, default = DpnpBackend(), DpnpBackend()
    queue = dpctl.SyclQueue("cpu", property="in_order")
    backend._device = type(backend._device).create_device(queue)
    array = backend.asarray([1.0])
    assert array.sycl_queue == queue
    with pytest.raises(ValueError, match="bring it there with array_api_compat.to_device"):
        default.to_numpy(array)


@pytest.mark.parametrize("device", ["cuda", "cpu:x", "0", "gpu:0 "])
def test_what_is_no_device_of_sycl_is_refused(device):
    with pytest.raises(ValueError, match=f"^device is '{device}': expected a kind of SYCL device"):
        get_backend(f"dpnp:{device}")


@pytest.mark.parametrize("device", ["gpu", "level_zero:gpu:0", "cpu:7"])
def test_an_absent_device_is_named_with_those_found_and_the_remedy(device):
    with pytest.raises(
        BackendUnavailable, match=f"no SYCL device {device}: .* opencl:cpu:0"
    ) as why:
        get_backend(f"dpnp:{device}")
    assert "OCL_ICD_FILENAMES" in why.value.remedy


def test_without_any_device_the_remedy_is_said(monkeypatch):
    monkeypatch.setattr(dpctl, "get_devices", list)
    with pytest.raises(BackendUnavailable, match="finds no SYCL device; install Intel's driver"):
        get_backend("dpnp")


@pytest.mark.parametrize("count", ["", "63", "lots"])
def test_it_is_refused_where_it_would_hang(monkeypatch, count):
    monkeypatch.setenv("SYCL_QUEUE_THREAD_POOL_SIZE", count)
    said = f": SYCL_QUEUE_THREAD_POOL_SIZE is '{count}'; set it to 64"
    with pytest.raises(BackendUnavailable, match=said):
        get_backend("dpnp")


def test_synchronize_waits_for_the_queue():
    backend = get_backend("dpnp")
    x = dpnp.ones((2000, 2000))
    x @ x
    behind = x.sycl_queue.submit_barrier()
    backend.synchronize()
    assert behind.execution_status == dpctl.event_status_type.complete


@pytest.mark.parametrize(("free", "said"), [(2**30, "1.0 GiB"), (None, "an unknown part")])
def test_the_free_memory_of_a_gpu_is_said(monkeypatch, free, said):
    device = SimpleNamespace(is_cpu=False, global_mem_size=2**34)
    monkeypatch.setattr(dpctl, "select_default_device", lambda: device)
    known = {} if free is None else {"free_memory": free}
    monkeypatch.setattr(dpctl.utils, "intel_device_info", lambda _: known)
    error = dpnp.exceptions.USMAllocationError("no")
    assert DpnpBackend.out_of_memory(error) == f"no; {said} of 16.0 GiB on the device are free"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("network", "optimizer"),
    [
        ({"activation": "tanh", "dropout": 0.25}, "sgd"),
        ({"activation": "gelu", "norm": "layer"}, "adam"),
        ({"activation": "relu", "norm": "batch"}, "adamw"),
        ({"activation": "selu", "ensemble": TabMMini(2)}, "lion"),
        ({"activation": "mish", "loss": "poisson", "sizes": [4, 5, 1]}, "rmsprop"),
        ({"activation": "softplus", "loss": "sigmoid_cross_entropy", "sizes": [4, 1]}, "adagrad"),
        ({"embedding": PiecewiseLinear([[-1.0, 0.0, 1.0]] * 4)}, "muon"),
        ({"embedding": Periodic(2)}, "lbfgs"),
    ],
)
def test_the_bits_are_those_of_numpy(network, optimizer, dtype):
    mlp = MLP(**{"sizes": [4, 5, 2]} | network)
    y = LABELS if mlp.sizes[-1] == 2 else LABELS[:, None] * 1.0
    options = {"arithmetic": "reproducible", "dtype": dtype, "epochs": 2, "batch_size": 48}
    hashes = set()
    for backend in map(get_backend, ("numpy", "dpnp")):
        run = train(mlp, X, y, backend=backend, optimizer=make_optimizer(optimizer), **options)
        hashes.add(parameters_sha256(run.parameters, backend))
    assert len(hashes) == 1


def test_a_table_of_its_arrays_has_the_answers_of_numpy():
    backend = get_backend("dpnp")
    model = TableClassifier(n_members=1, hidden=(8,), max_iter=2, random_state=0)
    inputs = backend.asarray(X)
    answers = clone(model).fit(inputs, backend.asarray(LABELS)).predict_proba(inputs)
    assert answers.sycl_queue == inputs.sycl_queue
    answers = backend.to_numpy(answers)
    np.testing.assert_allclose(answers, model.fit(X, LABELS).predict_proba(X), atol=1e-5)


@pytest.mark.parametrize(("first", "other"), [("numpy", "dpnp"), ("dpnp", "numpy")])
def test_a_certificate_is_verified_by_the_other(first, other, tmp_path, capsys):
    table, run = str(tmp_path / "table.csv"), str(tmp_path / "run")
    np.savetxt(table, np.column_stack([X, LABELS]), delimiter=",", header="a,b,c,d,target")
    options = ["--arithmetic", "reproducible", "--recipe", "none", "--epochs", "1", "--quiet"]
    assert ended("train", "--data", table, "--backend", first, "--output", run, *options) == 0
    assert ended("verify", run, "--backend", other) == 0
    assert "same bits" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", [name for name in CHECKS if "pixels" in name or not name.startswith("recorded run")]
)
def test_the_plug_in_of_the_examples_passes(name):
    with suppress(NotOffered):
        CHECKS[name](runpy.run_path(str(PLUG_IN))["SyclBackend"]())
