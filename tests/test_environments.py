"""The recorded bits with any kernels, instruction sets and threads of a library.

CI runs the first settings of each library, and all at night.

Each is a child process of its own, as libraries read their environment when they are loaded.
Settings of different libraries go together.  A library ignores settings that the processor lacks,
except for PyTorch, which dies of a missing instruction.
"""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from numpy._core._multiarray_umath import __cpu_features__

from pluggable_mlp.testing.result_checks import recorded

ROOT = Path(__file__).parent.parent
RUNS = ("sgd, pixels, float32", "adamw, many components, float64")
PROGRAM = """
import json, sys
from pluggable_mlp import get_backend
from pluggable_mlp.testing.result_checks import run
backend = get_backend(sys.argv[1])
print(json.dumps({name: run(name, backend) for name in sys.argv[2:]}))
"""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
WIDEST = "avx512" if __cpu_features__.get("AVX512F") else "avx2"
ENVIRONMENTS = {
    "numpy": [
        {"OPENBLAS_CORETYPE": "Prescott", "NPY_DISABLE_CPU_FEATURES": "AVX512F"},
        {"OPENBLAS_CORETYPE": "Sandybridge", "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3"},
        {"OPENBLAS_CORETYPE": "Haswell"} | dict.fromkeys(THREADS, "1"),
        dict.fromkeys(THREADS, "2"),
    ],
    "torch": [
        {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE"},
        {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"},
        {"ATEN_CPU_CAPABILITY": WIDEST, "ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}
        | {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}
        | dict.fromkeys(THREADS, "1"),
        dict.fromkeys(THREADS, "2"),
    ],
    "jax": [
        {"XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2 --xla_cpu_multi_thread_eigen=false"},
        {"XLA_FLAGS": "--xla_cpu_max_isa=AVX --xla_cpu_enable_fast_math=true"},
        {"JAX_DEFAULT_MATMUL_PRECISION": "bfloat16"},
    ],
}
CASES = [
    pytest.param(
        *(backend, settings),
        id=f"{backend} {' '.join(map('='.join, settings.items()))}",
        marks=[pytest.mark.nightly] * (settings is not every[0]),
    )
    for backend, every in ENVIRONMENTS.items()
    for settings in every
]


@pytest.mark.slow
@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="these are the settings of x86-64"
)
@pytest.mark.parametrize(("backend", "settings"), CASES)
def test_the_recorded_bits(backend, settings):
    if backend != "numpy":
        pytest.importorskip(backend)
    names = RUNS[:1] if backend == "jax" else RUNS  # which compiles each operation anew
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, backend, *names],
        env=os.environ | settings,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = {name: recorded()[name] for name in names}
    assert json.loads(done.stdout.splitlines()[-1]) == expected
