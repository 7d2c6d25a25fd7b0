"""What ci/gpu.sh measures on a GPU: the cost of an operation, and the benchmark.

Tests of pytest, to be run one after the other; on the emulated card in small sizes, where times
mean nothing.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks.contenders import CONTENDERS
from benchmarks.field import TRIAL_STEPS, failure
from benchmarks.job import Job
from ci.gpu_bits import DEVICES, EMULATED, on_each_device
from pluggable_mlp import MLP, train
from pluggable_mlp.backends import get_backend
from pluggable_mlp.training.optimizers import Adam

PARTS = ("steps", "reproducible", "inference", "fit", "roofline")  # the most telling first


@on_each_device
def test_cost_of_an_operation(device: str, record_property: Any) -> None:
    """Where many follow each other; and that of reading a number from the device."""
    backend, count = get_backend(device), 20 if EMULATED else 2000
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


@pytest.mark.parametrize("device", [device for device in DEVICES if "jax" not in device])
@pytest.mark.parametrize("arithmetic", ["native", "reproducible"])
@pytest.mark.parametrize("hidden", [16] if EMULATED else [100, 512])
def test_time_of_a_step(device: str, arithmetic: str, hidden: int, record_property: Any) -> None:
    """Of 784-hidden-10 with Adam, batch 128: the quickest of three epochs."""
    backend, steps = get_backend(device), 8 if EMULATED else 256
    rng = np.random.default_rng(0)
    x = rng.normal(size=(steps * 128, 784)).astype(np.float32)
    seconds: list[float] = []
    ends = [time.perf_counter()]

    def note(_: Any) -> None:
        ends.append(time.perf_counter())
        seconds.append(ends[-1] - ends[-2])

    settings = {"epochs": 4, "batch_size": 128, "optimizer": Adam(), "callbacks": [note]}
    labels = rng.integers(0, 10, len(x))
    train(MLP([784, hidden, 10]), x, labels, backend=backend, arithmetic=arithmetic, **settings)
    record_property("µs", round(min(seconds[1:]) / steps * 1e6, 1))


@pytest.mark.parametrize("name", [*CONTENDERS["cupy"]])
def test_contender_is_available(name: str, record_property: Any) -> None:
    """It does the work of all; on the emulated card the report tells why it does not."""
    job = Job((20, 12, 10), 4, "adam", examples=4 * TRIAL_STEPS, test_examples=8)
    if reason := failure(CONTENDERS["cupy"][name], job):
        record_property("not available", reason)
    assert EMULATED or not reason


@pytest.mark.parametrize("part", PARTS[-1:] if EMULATED else PARTS)
def test_benchmark(part: str) -> None:
    """Its files go to the folder in GPU_FILES."""
    command = [sys.executable, "benchmarks/run.py", "--quick", "--only", part]
    command += ["--backend", "cupy", "--output", os.environ["GPU_FILES"]]
    subprocess.run(command, check=True)
