"""What this machine can do at most: the speed of a large product, of memory, and of one call."""

import importlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from benchmarks.field import say
from benchmarks.machine import usable_processors
from pluggable_mlp import get_backend

__all__ = ["roofline"]

PRODUCT = {"numpy": 2048, "cupy": 8192}
_TRIAD_BYTES = 2**27  # an array, several times any cache
_BYTES_PER_ELEMENT = 5 * 8  # c read, a written; a and b read, a written
_CALLS = 1000


def roofline(backend: str, quick: bool) -> dict[str, Any]:
    """Return {"gflops": {float32, float64}, "gigabytes_per_second", "microseconds_per_call"}."""
    say("roofline")
    xp, best = importlib.import_module(backend), partial(_best, get_backend(backend).synchronize)
    size = 512 if quick else PRODUCT[backend]
    gflops = {}
    for dtype in ("float32", "float64"):
        a, b = (
            xp.asarray(np.random.default_rng(i).standard_normal((size, size)), dtype=dtype)
            for i in range(2)
        )
        gflops[dtype] = 2e-9 * size**3 / best(partial(xp.matmul, a, b, out=xp.empty_like(a)))
    # a = b + s c, written as two operations; on a processor every thread has a part of the arrays.
    threads = usable_processors() if backend == "numpy" else 1
    count = _TRIAD_BYTES // 8 // threads * threads
    a, b, c = (xp.ones(count).reshape(threads, -1) for _ in range(3))

    def triad(i: int) -> None:
        xp.multiply(c[i], 3.0, out=a[i])
        xp.add(a[i], b[i], out=a[i])

    with ThreadPoolExecutor(threads) as pool:
        triads = best(lambda: list(pool.map(triad, range(threads))))
    tiny = xp.ones(1, dtype="float32")

    def calls() -> None:
        for _ in range(_CALLS):
            xp.multiply(tiny, tiny, out=tiny)

    return {
        "gflops": gflops,
        "gigabytes_per_second": 1e-9 * _BYTES_PER_ELEMENT * count / triads,
        "microseconds_per_call": 1e6 * best(calls) / _CALLS,
    }


def _best(synchronize: Callable[[], None], run: Callable[[], Any]) -> float:
    """Return the seconds of the fastest of some runs."""
    seconds = []
    for _ in range(7):
        begin = time.perf_counter()
        run()
        synchronize()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)
