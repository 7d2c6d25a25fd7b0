"""What ci/gpu.sh measures on a GPU: the cost of an operation, and the benchmark.

Tests of pytest, to be run one after the other; in a dry run they take the processor.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ci.gpu_bits import DRY, on_each_device
from pluggable_mlp.backends import get_backend

PARTS = ("steps", "reproducible", "inference", "fit", "roofline")  # the most telling first


@on_each_device
def test_cost_of_an_operation(device: str, record_property: Any) -> None:
    """Where many follow each other; and that of reading a number from the device."""
    backend, count = get_backend(device), 20 if DRY else 2000
    x, W = (backend.asarray(np.ones(shape, np.float32)) for shape in ((128, 784), (784, 512)))
    operations: dict[str, Callable[[], Any]] = {
        "elementwise": lambda: x + x,
        "sum": lambda: backend.xp.sum(x, axis=-1),
        "float32 product": lambda: backend.xp.matmul(x, W),
        "float()": lambda: float(x[0, 0]),
    }
    for name, operation in operations.items():
        last = operation()
        backend.synchronize()
        begin = time.perf_counter()
        for _ in range(count):
            last = operation()  # kept: JAX waits for arrays that are alive
        backend.synchronize()
        del last
        record_property(f"{name}, µs", round((time.perf_counter() - begin) / count * 1e6, 2))


@pytest.mark.parametrize("part", PARTS[-1:] if DRY else PARTS)
def test_benchmark(part: str) -> None:
    """Its files go to the folder in GPU_FILES."""
    command = [sys.executable, "benchmarks/run.py", "--quick", "--only", part]
    command += ["--backend", "numpy" if DRY else "cupy", "--output", os.environ["GPU_FILES"]]
    subprocess.run(command, check=True)
