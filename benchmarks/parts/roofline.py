"""What this machine can do at most: the speed of a large product, of memory, and of one call."""

import importlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from benchmarks.machine import usable_processors
from benchmarks.measure import say
from pluggable_mlp import get_backend

__all__ = ["PRODUCT", "measure"]

PRODUCT = {"numpy": 2048, "cupy": 8192}
_TRIAD_BYTES = 2**27  # an array, several times any cache
_BYTES_PER_ELEMENT = 5 * 8  # c read, a written; a and b read, a written


def measure(backend: str, quick: bool, seconds: float) -> dict[str, Any]:
    """Return {"gflops": {float32, float64}, "gigabytes_per_second", "microseconds_per_call"}."""
    del seconds  # the work is fixed
    say("roofline")
    xp, synchronize = importlib.import_module(backend), get_backend(backend).synchronize
    size = 512 if quick else PRODUCT[backend]
    gflops = {}
    for dtype in ("float32", "float64"):
        a, b = (
            xp.asarray(np.random.default_rng(i).standard_normal((size, size)), dtype=dtype)
            for i in range(2)
        )
        seconds = _best(partial(xp.matmul, a, b, out=xp.empty_like(a)), synchronize)
        gflops[dtype] = 2e-9 * size**3 / seconds
    tiny = xp.ones(1, dtype="float32")
    calls = 1000

    def call() -> None:
        for _ in range(calls):
            xp.multiply(tiny, tiny, out=tiny)

    return {
        "gflops": gflops,
        "gigabytes_per_second": _bandwidth(xp, synchronize, 1 if backend != "numpy" else None),
        "microseconds_per_call": 1e6 * _best(call, synchronize) / calls,
    }


def _bandwidth(xp: Any, synchronize: Callable[[], None], threads: int | None) -> float:
    """Return the gigabytes a second of a = b + s c, written as two operations.

    On a processor every thread has a part of the arrays.
    """
    threads = threads or usable_processors()
    count = _TRIAD_BYTES // 8 // threads * threads
    a, b, c = (xp.ones(count).reshape(threads, -1) for _ in range(3))

    def task(i: int) -> None:
        xp.multiply(c[i], 3.0, out=a[i])
        xp.add(a[i], b[i], out=a[i])

    with ThreadPoolExecutor(threads) as pool:
        seconds = _best(lambda: list(pool.map(task, range(threads))), synchronize)
    return 1e-9 * _BYTES_PER_ELEMENT * count / seconds


def _best(run: Callable[[], Any], synchronize: Callable[[], None]) -> float:
    """Return the seconds of the fastest of some runs."""
    seconds = []
    for _ in range(7):
        begin = time.perf_counter()
        run()
        synchronize()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)
