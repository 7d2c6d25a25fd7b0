"""What is special of PyTorch: its devices."""

import pytest

from pluggable_mlp.backends import BackendUnavailable, get_backend

torch = pytest.importorskip("torch")


def test_the_processor_is_the_default():
    backend = get_backend("torch")
    assert backend.device == "cpu"
    assert backend.asarray([1.0]).device == torch.device("cpu")
    assert backend.devices()[0] == "cpu"


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
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(BackendUnavailable, match="no CUDA device 2: PyTorch finds 2") as caught:
        get_backend("torch:cuda:2")
    assert caught.value.remedy == "choose one of cpu, cuda:0, cuda:1"


def test_a_device_that_pytorch_does_not_know():
    with pytest.raises(ValueError, match=r"device is 'gpu0': .*device string"):
        get_backend("torch:gpu0")


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="PyTorch has Apple's GPU here")
def test_a_device_that_this_build_does_not_drive():
    with pytest.raises(BackendUnavailable, match="mps does not work with PyTorch"):
        get_backend("torch:mps")
