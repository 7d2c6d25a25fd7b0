"""The same bits from every kernel of OpenBLAS that this processor runs, with 1 and 2 threads.

Among them the predictions of an estimator, which also depend on no other row and no row's place.

Each combination is a child process of its own, as OpenBLAS reads its variables when it is loaded.
The same children show that NumPy's own products differ: the test can fail.
"""

import json
import os
import platform
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

# Kernel and the processor flag that it needs, as /proc/cpuinfo has it.
KERNELS = {
    "Prescott": "pni",
    "Nehalem": "sse4_2",
    "Sandybridge": "avx",
    "Haswell": "avx2",
    "Zen": "avx2",
    "SkylakeX": "avx512vl",
}

MIDPOINTS = """
from tests.namespaces.reproducible.test_single_product import test_sums_next_to_midpoints

test_sums_next_to_midpoints()
"""

PROGRAM = """
import hashlib, json
import numpy as np
from pluggable_mlp import TableClassifier
from pluggable_mlp.namespaces.reproducible.operand import fixed_point
from tests.namespaces.reproducible import kernels
from tests.namespaces.reproducible.kernels import affine, matmul

def digest(arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()

random = np.random.default_rng(0)
ours, native = [], []
for dtype in ("float32", "float64"):
    for m, k, n in ((128, 784, 100), (100, 128, 10), (1, 300, 70), (90, 2500, 1), (7, 3, 5)):
        a = (random.standard_normal((m, k)) * 10.0 ** random.uniform(-4, 4, (m, k))).astype(dtype)
        b, bias = random.standard_normal((k, n)).astype(dtype), np.ones(n, dtype)
        integers = random.integers(0, 256, (m, k), dtype=np.uint8)
        x = fixed_point(np, integers, 1 / 256, a.dtype)
        ours += [matmul(np, a, b), affine(np, x, b, bias), matmul(np, b.T, x.mT)]
        ours += [kernels.sum(np, a, -1), kernels.sum(np, a, -2), kernels.mean(np, a)]
        native += [a @ b, x.values @ b, b.T @ x.values.T]

X, order = random.standard_normal((300, 16)), random.permutation(300)
settings = {"max_iter": 3, "validation_fraction": 0, "random_state": 0}
model = TableClassifier(**settings, arithmetic="reproducible").fit(X, X[:, 0] > 0)
found = model.predict_proba(X)
elsewhere, alone = model.predict_proba(X[order]), model.predict_proba(X[:1])
assert len(np.unique(found)) > 300  # it was trained
assert np.array_equal(found[order], elsewhere) and np.array_equal(found[:1], alone)
ours.append(found)
print(json.dumps([digest(ours), digest(native)]))
"""

NATIVE = """
import numpy as np

for dtype in ("float32", "float64"):
    a, b = np.ones((128, 784), dtype), np.ones((784, 100), dtype)
    a @ b, b.T @ a.T
"""


def flags() -> set[str]:
    """Return what /proc/cpuinfo says this processor can do; nothing where there is none."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return set(next((line.split(":")[1].split() for line in lines if line.startswith("flags")), []))


def blas() -> str:
    """Return the name of the BLAS that NumPy was built with."""
    name: str = np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"]
    return name


def output(program: str, kernel: str, threads: int) -> str:
    """Return what a program prints in such a process."""
    environment = {
        **os.environ,
        "OPENBLAS_CORETYPE": kernel,
        "OPENBLAS_NUM_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == -signal.SIGSEGV and _crashes_alone(environment):
        pytest.skip(f"NumPy {np.__version__} alone crashes with OpenBLAS's kernels for {kernel}")
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def hashes(kernel: str, threads: int) -> tuple[str, str]:
    """Return the hashes of the reproducible and of the native products in such a process."""
    ours, native = json.loads(output(PROGRAM, kernel, threads))
    return ours, native


def _crashes_alone(environment: dict[str, str]) -> bool:
    """Return whether NumPy's own products crash, as with OpenBLAS 0.3.34 on some processors."""
    done = subprocess.run([sys.executable, "-c", NATIVE], env=environment, check=False)
    return done.returncode == -signal.SIGSEGV


RUNS = [
    (kernel, threads) for kernel, flag in KERNELS.items() if flag in flags() for threads in (1, 2)
]


@pytest.fixture(autouse=True)
def _needs_openblas() -> None:
    if platform.machine() not in ("x86_64", "AMD64") or "openblas" not in blas() or not RUNS:
        pytest.skip(f"the kernels named here are OpenBLAS's for x86-64, NumPy has {blas()}")


# The oldest kernel is in the default suite; all are compared with the newest.
CASES = [RUNS[0], *(pytest.param(*run, marks=pytest.mark.slow) for run in RUNS[1:-1])]


@pytest.mark.parametrize(("kernel", "threads"), CASES)
def test_every_kernel_and_number_of_threads_gives_the_same_bits(kernel, threads):
    assert hashes(kernel, threads)[0] == hashes(*RUNS[-1])[0]


@pytest.mark.slow
@pytest.mark.parametrize(("kernel", "threads"), RUNS[::2])
def test_large_sums_next_to_midpoints_are_rounded_right(kernel, threads):
    output(MIDPOINTS, kernel, threads)


def test_native_products_differ_between_kernels():
    assert len({hashes(*run)[1] for run in (RUNS[0], RUNS[-1])}) > 1
