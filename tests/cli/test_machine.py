"""`backends` says what slows this machine."""

import pytest
import threadpoolctl

from pluggable_mlp.cli import machine


@pytest.fixture
def told(monkeypatch, tmp_path):
    """The notes for one BLAS on a processor with these flags."""

    def notes(flags, processors=2, **pool):
        own = {"user_api": "blas", "internal_api": "openblas", "version": "0.3", "num_threads": 2}
        pools = [own | pool, {"user_api": "openmp"}]
        monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: pools)
        monkeypatch.setattr(machine, "_processors", lambda: processors)
        (tmp_path / "cpuinfo").write_text(f"processor: 0\nflags\t\t: fpu {flags} sse\n")
        monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "cpuinfo")
        return machine.speed_notes()

    return notes


def test_kernels_that_know_less_than_the_processor(told, monkeypatch):
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    plain = ["NumPy's BLAS: openblas 0.3, kernels for Haswell, 2 threads"]
    assert told("avx2", architecture="Haswell") == plain
    slow = [f"{plain[0]}; the processor has avx512f: try OPENBLAS_CORETYPE=SkylakeX"]
    assert told("avx2 avx512f", architecture="Haswell") == slow
    assert "avx512f" not in told("avx512f", architecture="SkylakeX")[0]
    assert told("avx2", architecture="Nehalem")[0].endswith(
        "the processor has avx2: try OPENBLAS_CORETYPE=Haswell"
    )
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    assert told("avx2 avx512f", architecture="Haswell")[0].endswith(
        "the processor has avx512f: unset OPENBLAS_CORETYPE, or set it to SkylakeX"
    )


def test_threads_fewer_than_processors(told):
    (note,) = told("avx2", processors=8, architecture="Zen")
    assert note.endswith("2 threads; 8 processors could be used: see OPENBLAS_NUM_THREADS")


def test_backends_prints_it(command):
    assert "NumPy's BLAS: " in command("backends").out
