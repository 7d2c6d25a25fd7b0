"""What is special of PyTorch: its devices, its gradients, its processor's denormal numbers."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from pluggable_mlp import MLP, Adam, train
from pluggable_mlp.backends import BackendUnavailable, get_backend
from pluggable_mlp.namespaces.reproducible.array import to_native
from pluggable_mlp.namespaces.reproducible.namespace import reproducible
from pluggable_mlp.testing.result_checks import recorded, run
from tests.elementary.cases import every_kind

torch = pytest.importorskip("torch")
from tests.backends.torch_devices import stand_in  # noqa: E402 (only if it is there)


def test_another_default_device_changes_no_bit(capsys):
    """Set before the backend is imported; arrays on "meta" have no values."""
    code = """
from pluggable_mlp import MLP, Adam, get_backend, train
settings = {"backend": get_backend("torch"), "optimizer": Adam(), "epochs": 3}
print(train(MLP([1, 2]), [[0.0], [1.0]], [0, 1], **settings).history)
"""
    exec(code)
    elsewhere = f"import torch; torch.set_default_device('meta')\n{code}"
    found = subprocess.check_output([sys.executable, "-c", elsewhere], text=True)
    assert found == capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="PyTorch finds a GPU here")
@pytest.mark.parametrize("spec", ["torch:cuda", "torch:cuda:0", "torch:cuda:7"])
def test_without_cuda_says_what_pytorch_says(spec):
    with pytest.raises(AssertionError if not torch.version.cuda else RuntimeError) as said:
        torch.cuda.init()
    with pytest.raises(BackendUnavailable, match="cannot use CUDA") as caught:
        get_backend(spec)
    assert str(said.value).splitlines()[0].split(". ")[0] in caught.value.reason
    assert "torch:cpu" in caught.value.remedy


def test_a_cuda_device_out_of_range_says_how_many_there_are(monkeypatch):
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(BackendUnavailable, match="no CUDA device 2: PyTorch finds 2") as caught:
        get_backend("torch:cuda:2")
    assert caught.value.remedy == "choose one of cpu, cuda:0, cuda:1"


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="PyTorch has Apple's GPU here")
def test_a_device_that_this_build_does_not_drive():
    with pytest.raises(BackendUnavailable, match="mps does not work with PyTorch"):
        get_backend("torch:mps")


def test_tensors_that_require_gradients_come_back():
    backend = get_backend("torch")
    tensor = backend.asarray([1.0, 2.0]).requires_grad_()
    assert backend.to_numpy(tensor * 2.0).tolist() == [2.0, 4.0]


def test_inputs_of_bfloat16_are_those_of_float32():
    x = torch.linspace(-1.0, 1.0, 24).reshape(8, 3).bfloat16()
    settings = {"backend": get_backend("torch"), "epochs": 1}
    labels = torch.tensor([0, 1] * 4)
    history = train(MLP([3, 2]), x, labels, **settings).history
    assert history == train(MLP([3, 2]), x.float(), labels, **settings).history
    x[4, 1] = torch.nan
    with pytest.raises(ValueError, match="inputs hold NaN"):
        train(MLP([3, 2]), x, labels, **settings)


def test_outputs_are_stored_by_rows():
    mlp, x = MLP([3, 4]), torch.ones(200, 3)
    parameters = mlp.initialize(seed=0, backend=get_backend("torch"))
    for _ in range(4):  # traced, too
        assert mlp.logits(parameters, x).is_contiguous()
        assert mlp.predict_proba(parameters, x).is_contiguous()


@pytest.fixture
def flushing():
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush denormal numbers")
    yield
    torch.set_flush_denormal(False)


FUNCTIONS = ("flush", "exp", "log", "log1p", "tanh", "sigmoid", "softplus", "erf", "reciprocal")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_flushed_denormal_numbers_change_no_bit(request, dtype):
    """`torch.set_flush_denormal` holds for NumPy in this thread, too; so NumPy comes first."""
    x = every_kind(dtype)
    backend = get_backend("torch")
    there, here = reproducible(np), reproducible(backend.xp)

    def values(ns, name, x):
        return to_native(ns.asarray(x) if name == "flush" else getattr(ns, name)(ns.wrap(x)))

    expected = {name: values(there, name, x) for name in (*FUNCTIONS, "sqrt", "rsqrt")}
    request.getfixturevalue("flushing")
    assert float(torch.tensor(2.0**-126) * 0.5) == 0.0
    for name, numbers in expected.items():
        result = backend.to_numpy(values(here, name, backend.asarray(x)))
        assert result.tobytes() == np.asarray(numbers).tobytes(), name


@pytest.mark.parametrize("name", ["sgd, pixels, float32", "adamw, many components, float64"])
def test_a_recorded_run_with_flushed_denormal_numbers(flushing, name):
    assert run(name, get_backend("torch")) == recorded()[name]


def test_what_apples_gpus_refuse_is_refused_in_their_place(monkeypatch):
    with stand_in(monkeypatch, "mps"):
        x = get_backend("torch:mps").asarray([0.25], "float32")
        with pytest.raises(TypeError, match="Cannot convert a MPS Tensor to float64"):
            x.to(torch.float64)
        with pytest.raises(NotImplementedError, match="special_ndtri is not implemented"):
            torch.special.ndtri(x)
        with pytest.raises(RuntimeError, match="tensors to be on the same device"):
            x + torch.ones(1)


@pytest.mark.parametrize("has_float64", [True, False])
def test_intels_gpus_say_whether_they_have_float64(monkeypatch, has_float64):
    properties = SimpleNamespace(has_fp64=has_float64)
    monkeypatch.setattr(torch.xpu, "get_device_properties", lambda device: properties)
    with stand_in(monkeypatch, "xpu"):
        backend = get_backend("torch:xpu")
        assert backend.devices() == ("cpu", "xpu:0")
        assert ("float64" in backend.missing_dtypes) == (not has_float64)
        settings = {"optimizer": Adam(), "epochs": 2, "batch_size": 1}
        data = np.asarray([[0.0], [1.0]], "float32"), [0, 1]
        history = train(MLP([1, 2]), *data, backend=backend, **settings).history
    expected = train(MLP([1, 2]), *data, backend=get_backend("numpy"), **settings).history
    assert history == pytest.approx(expected, rel=1e-5)
