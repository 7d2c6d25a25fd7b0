"""The same bits from the oldest kernel of OpenBLAS and the processor's own; others: ci/kernels.sh.

Among them the predictions of a network, which also depend on no other row and no row's place.
Each kernel has a child process of its own, as OpenBLAS reads its variables when it is loaded.
"""

import json
import os
import platform
import signal
import subprocess
import sys

import numpy as np
import pytest

PROGRAM = """
import hashlib, json
import numpy as np
from pluggable_mlp import MLP, get_backend
from pluggable_mlp.namespaces.reproducible.operand import FixedPoint
from tests.namespaces.reproducible import kernels
from tests.namespaces.reproducible.kernels import affine, matmul

def digest(arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()

random = np.random.default_rng(0)
ours, native = [], []
for dtype in ("float32", "float64"):
    for m, k, n in ((64, 784, 50), (50, 64, 10), (1, 300, 70), (90, 2500, 1), (7, 3, 5)):
        a = (random.standard_normal((m, k)) * 10.0 ** random.uniform(-4, 4, (m, k))).astype(dtype)
        b, bias = random.standard_normal((k, n)).astype(dtype), np.ones(n, dtype)
        integers = random.integers(0, 256, (m, k), dtype=np.uint8)
        x = FixedPoint(np, integers, 1 / 256, a.dtype)
        ours += [matmul(np, a, b), affine(np, x, b, bias), matmul(np, b.T, x.mT)]
        ours += [kernels.sum(np, a, -1), kernels.sum(np, a, -2), kernels.mean(np, a, 0)]
        native += [a @ b, x.values @ b, b.T @ x.values.T]

mlp, X, order = MLP([16, 256, 2]), random.standard_normal((300, 16)), random.permutation(300)
parameters = mlp.initialize(seed=0, backend=get_backend("numpy"), dtype="float64")
found, elsewhere, alone = (
    mlp.predict_proba(parameters, x, arithmetic="reproducible") for x in (X, X[order], X[:1])
)
assert len(np.unique(found)) > 300
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


def hashes(kernel: str, threads: int) -> tuple[str, str]:
    """Return the hashes of the reproducible and of the native products in such a process."""
    environment = {
        **os.environ,
        "OPENBLAS_CORETYPE": kernel,
        "OPENBLAS_NUM_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
    }
    if kernel == OWN:
        del environment["OPENBLAS_CORETYPE"]
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == -signal.SIGSEGV and _crashes_alone(environment):
        pytest.skip(f"NumPy {np.__version__} alone crashes with OpenBLAS's kernels for {kernel}")
    assert done.returncode == 0, done.stderr
    ours, native = json.loads(done.stdout)
    return ours, native


def _crashes_alone(environment: dict[str, str]) -> bool:
    """Return whether NumPy's own products crash, as with OpenBLAS 0.3.34 on some processors."""
    done = subprocess.run([sys.executable, "-c", NATIVE], env=environment, check=False)
    return done.returncode == -signal.SIGSEGV


OLDEST, OWN = "Prescott", "the processor's own"


@pytest.fixture(autouse=True)
def _needs_openblas() -> None:
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"]
    if platform.machine() not in ("x86_64", "AMD64") or "openblas" not in blas:
        pytest.skip(f"{OLDEST} is a kernel of OpenBLAS's for x86-64, NumPy has {blas}")


def test_reproducible_products_have_the_same_bits_and_native_ones_differ():
    """The second shows that the first can fail."""
    ours, native = zip(hashes(OLDEST, 1), hashes(OWN, 2), strict=True)
    assert ours[0] == ours[1]
    assert native[0] != native[1]
