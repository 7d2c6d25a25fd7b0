"""Out of memory, in the words of every library, and what this machine has."""

import os

import pytest

from pluggable_mlp.backends import host, out_of_memory
from tests.backends.exhausted import exhausted

pytestmark = [pytest.mark.as_user, pytest.mark.quick_on("jax:cpu", "numpy", "array_api_strict")]

ASKED_FOR = ("80000000000000000 bytes", "80,000,000,000,000,000 bytes", "71.1 PiB", "74505805.97")
UNSAID = "USM allocation failed; "  # dpnp does not say what was asked for


def test_every_library_that_is_out_of_memory_is_understood(backend):
    said = out_of_memory(exhausted(backend))
    assert said is not None
    assert any(size in said for size in ASKED_FOR) or said.startswith(UNSAID), said
    if host._LINUX.exists():
        assert said.endswith(("are free", "is free"))


def test_other_errors_are_not_taken_for_it(backend):
    x = backend.asarray([[1.0, 2.0]])
    with pytest.raises(Exception) as caught:  # noqa: PT011 (each library has its own)
        x @ x
    assert out_of_memory(caught.value) is None
    assert out_of_memory(RuntimeError("out of memory")) is None


@pytest.mark.parametrize("number", [2, 1])
def test_what_cupy_and_cuda_say(monkeypatch, number):
    cupy = pytest.importorskip("cupy")
    from pluggable_mlp.backends.cupy import CupyBackend

    runtime = cupy.cuda.runtime
    monkeypatch.setattr(runtime, "memGetInfo", lambda: (3 * 2**30, 80 * 2**30))
    pool = cupy.cuda.memory.OutOfMemoryError(80_000_000_000, 1000, 0)
    assert CupyBackend.out_of_memory(pool) == (
        "Out of memory allocating 80,000,000,000 bytes (allocated so far: 1,000 bytes); "
        "3.0 GiB of 80.0 GiB on the GPU are free"
    )
    cuda = CupyBackend.out_of_memory(runtime.CUDARuntimeError(number))  # 2: out of memory
    assert (cuda is not None) == (number == 2)


def test_what_pytorch_says_of_a_gpu_is_cut_before_its_advice():
    torch = pytest.importorskip("torch")
    from pluggable_mlp.backends.torch import TorchBackend

    said = (
        "CUDA out of memory. Tried to allocate 74.51 GiB. GPU 0 has a total capacity of 79.11 GiB "
        "of which 3.02 GiB is free. Process 7 has 76.09 GiB memory in use. If reserved but "
        "unallocated memory is large try setting PYTORCH_CUDA_ALLOC_CONF"
    )
    words = TorchBackend.out_of_memory(torch.OutOfMemoryError(said))
    assert words == said.partition(" Process")[0].rstrip(".")
    blas = RuntimeError(
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"
    )
    assert "CUBLAS_STATUS_ALLOC_FAILED" in (TorchBackend.out_of_memory(blas) or "")


def test_a_container_has_what_it_is_allowed(monkeypatch, tmp_path):
    whole = host.host_memory()
    if whole is None:
        pytest.skip("this system does not tell")
    assert whole >= os.sysconf("SC_PAGE_SIZE")
    monkeypatch.setattr(host, "_CONTAINER", tmp_path / "memory.max")
    (tmp_path / "memory.max").write_text("max\n")
    assert host.host_memory() >= whole
    (tmp_path / "memory.max").write_text("1048576\n")
    assert host.host_memory() == 1048576
    host.refuse_beyond_memory("a kettle", 1048576)
    with pytest.raises(MemoryError, match=r"^a kettle takes 1\.5 MiB, more than this machine has$"):
        host.refuse_beyond_memory("a kettle", 1572864)


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0.0 B"), (1023, "1,023.0 B"), (2**40, "1.0 TiB"), (8e16, "72,759.6 TiB")],
)
def test_numbers_of_bytes_in_words(size, words):
    assert host.in_words(size) == words
