"""What ci/gpu.sh measures on one device.  The last line that is printed is the result, as JSON.

    python ci/gpu_measure.py {machine,precision,exactness,microseconds} [backend] [--small]

Exit code 0 where the device is as the project takes for granted, 1 where it is not.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import metadata
from typing import Any

import numpy as np

# Prefixes of the packages and of the environment's variables that decide results.
PACKAGES = ("array-api", "cupy", "jax", "numpy", "nvidia", "pluggable", "scikit-learn", "torch")
VARIABLES = ("CUBLAS", "CUDA", "CUPY", "JAX", "NVIDIA_TF32", "PYTORCH", "TORCH", "XLA")


def machine() -> tuple[bool, dict[str, Any]]:
    """The card, its driver, and the versions of what computes on it."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,compute_cap"]
    cards = []
    with suppress(OSError):
        done = subprocess.run(
            [*query, "--format=csv,noheader"], capture_output=True, text=True, check=False
        )
        cards = (done.stdout or done.stderr).splitlines()
    packages = {d.name.lower(): d.version for d in metadata.distributions() if d.name}
    return True, {
        "cards": cards,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "versions": {k: v for k, v in sorted(packages.items()) if k.startswith(PACKAGES)},
        "cublas": cublas(),
        "environment": {k: v for k, v in sorted(os.environ.items()) if k.startswith(VARIABLES)},
    }


def cublas() -> dict[str, str]:
    """Return the version of cuBLAS that CuPy uses, and of the CUDA that PyTorch is built for."""
    found = {}
    try:
        import cupy

        handle = cupy.cuda.device.get_cublas_handle()
        found["cupy"] = str(cupy.cuda.cublas.getVersion(handle))
    except Exception as error:  # CUDA's errors have no common type: the report says which it was
        found["cupy"] = f"{type(error).__name__}: {error}"
    with suppress(ImportError):
        import torch

        found["torch, CUDA"] = str(torch.version.cuda)
    return found


def precision(backend: Any, small: bool) -> tuple[bool, dict[str, Any]]:
    """The relative error of a float32 product: some 1e-6, or 3e-4 where operands become TF32."""
    n = 256 if small else 2048
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(n, n)).astype(np.float32) for _ in range(2))
    exact = a.astype(np.float64) @ b.astype(np.float64)
    ours = backend.to_numpy(backend.xp.matmul(backend.asarray(a), backend.asarray(b)))
    error = float(np.linalg.norm(ours - exact) / np.linalg.norm(exact))
    return error < 2.0**-17, {"size": n, "relative_error": error}


def exactness(backend: Any, small: bool) -> tuple[bool, dict[str, Any]]:
    """Whether float64 products of slices at their extremes are exact, or are refused as inexact.

    Shapes of 64 to 4096, each operand as it is and as a transpose, and stacks.
    """
    from pluggable_mlp.namespaces import ArithmeticUnavailable
    from pluggable_mlp.namespaces.reproducible.exactness import require_exact_products

    wrong = []
    for widths in ((29, 14), (21, 22)):
        for size in (64, 128) if small else (64, 128, 512, 1024, 4096):
            for stack in ((), (3,)) if size < 1024 else ((),):
                wrong += inexact(backend, widths, size, stack)
    refused = ""
    try:
        require_exact_products(backend.xp, backend.asarray([1.0]))
    except ArithmeticUnavailable as error:
        refused = str(error)
    return not wrong or bool(refused), {"inexact": wrong, "refused": refused}


def inexact(
    backend: Any, widths: tuple[int, int], size: int, stack: tuple[int, ...]
) -> list[dict[str, Any]]:
    """Return which products (…, size, 1024) x (…, 1024, size) have how many wrong elements."""
    xp, distinct = backend.xp, 64  # rows of the one, columns of the other; the rest repeats them
    rng = np.random.default_rng([*widths, size])
    a, b = (
        2**width - rng.integers(0, 2 ** (width + 1) + 1, size=(*stack, distinct, 1024))
        for width in widths
    )
    a[..., :8, :], b[..., :8, :] = 2 ** widths[0], 2 ** widths[1]  # sums of exactly 2^53
    expected = a @ np.swapaxes(b, -1, -2)  # in int64
    repeats = size // distinct
    rows = np.tile(a, (repeats, 1)).astype(np.float64)
    columns = np.tile(b, (repeats, 1)).astype(np.float64)
    expected = np.tile(expected, (repeats, repeats)).astype(np.float64)
    wrong = []
    for left in ("as it is", "transposed"):
        for right in ("as it is", "transposed"):
            x = placed(backend, rows, left)
            y = placed(backend, np.ascontiguousarray(np.swapaxes(columns, -1, -2)), right)
            count = int(np.sum(backend.to_numpy(xp.matmul(x, y)) != expected))
            if count:
                wrong.append(
                    {"widths": widths, "shape": [*stack, size, 1024, size], "left": left}
                    | {"right": right, "wrong": count}
                )
    return wrong


def placed(backend: Any, matrix: Any, how: str) -> Any:
    """Return a matrix on the device, stored as it is or as the transpose of another."""
    if how == "as it is":
        return backend.asarray(matrix)
    stored = np.ascontiguousarray(np.swapaxes(matrix, -1, -2))
    return backend.xp.matrix_transpose(backend.asarray(stored))


def microseconds(backend: Any, small: bool) -> tuple[bool, dict[str, Any]]:
    """What one operation costs where many follow each other, and what reading a number does."""
    xp, count = backend.xp, 20 if small else 2000
    x, W = (
        backend.asarray(np.ones((128, 784), "float32")),
        backend.asarray(np.ones((784, 512), "f")),
    )
    operations: dict[str, Callable[[], Any]] = {
        "elementwise": lambda: x + x,
        "reduction": lambda: xp.sum(x, axis=-1),
        "product float32": lambda: xp.matmul(x, W),
        "float()": lambda: float(x[0, 0]),
    }
    result = {}
    for name, operation in operations.items():
        operation()
        backend.synchronize()
        begin = time.perf_counter()
        for _ in range(count):
            last = operation()  # kept: JAX waits for arrays that are alive
        backend.synchronize()
        del last
        result[name] = round((time.perf_counter() - begin) / count * 1e6, 2)
    return True, result


MEASUREMENTS = {"precision": precision, "exactness": exactness, "microseconds": microseconds}


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["machine", *MEASUREMENTS])
    parser.add_argument("backend", nargs="?", default="numpy")
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    if options.what == "machine":
        passed, result = machine()
    else:
        from pluggable_mlp.backends import get_backend

        backend = get_backend(options.backend)
        passed, result = MEASUREMENTS[options.what](backend, options.small)
    print(json.dumps(result))
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
