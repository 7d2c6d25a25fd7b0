"""What things cost: the same bits everywhere, the memory of training, start-up."""

import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.field import field_of, say
from benchmarks.job import Job

__all__ = ["memory", "reproducible", "startup"]

BACKENDS = {"numpy": ("numpy", "torch", "jax"), "cupy": ("cupy", "torch:cuda")}
JOBS = [
    *(
        Job((784, 512, 10), 256, dtype=dtype, standardised=standardised)
        for standardised in (False, True)
        for dtype in ("float32", "float64")
    ),
    Job((784, 100, 10), 128),
]
STARTS = {
    "python -c pass": ["-c", "pass"],
    "import numpy": ["-c", "import numpy"],
    # It imports its names when they are asked for.
    "import pluggable_mlp": ["-c", "from pluggable_mlp import *"],
    "import torch": ["-c", "import torch"],
    "import jax": ["-c", "import jax"],
    "import sklearn.neural_network": ["-c", "import sklearn.neural_network"],
    "pluggable-mlp --help": ["-m", "pluggable_mlp", "--help"],
    "pluggable-mlp backends": ["-m", "pluggable_mlp", "backends"],
}
_STEPS = 8


def reproducible(backend: str, quick: bool) -> dict[str, Any]:
    """Measure whole training steps in both arithmetics, in turn, on pixels and on floats.

    Returns {"cases": [{backend, network, batch, data, dtype, seconds: {arithmetic: samples}, …}]}.
    """
    jobs = JOBS[-1:] if quick else JOBS
    cases = [(name, job) for name in BACKENDS[backend] for job in jobs]
    return {"cases": [_price(*case) for case in cases]}


def _price(backend: str, job: Job) -> dict[str, Any]:
    data = "standardised floats" if job.standardised else "8-bit pixels"
    say(f"reproducible: {backend}, {job.network}, {data}, {job.dtype}")
    peaks = {}
    ours = CONTENDERS["numpy"]["ours"]
    options = {"backend": backend, "pixels": not job.standardised}
    entries = {
        name: ours._replace(label=f"{backend}, {name}", options={**options, "arithmetic": name})
        for name in ("native", "reproducible")
    }
    with field_of(entries) as field:
        field.prepare(replace(job, examples=_STEPS * job.batch))
        field.ask("warm_up")
        samples = field.sample("time_epoch")
        if backend == "numpy" and not field.failures:  # only NumPy's allocations are traced
            field.prepare(replace(job, examples=job.batch))
            peaks = field.ask("peak_of_epoch")
    return {
        "backend": backend,
        "network": job.network,
        "batch": job.batch,
        "data": data,
        "dtype": job.dtype,
        "failed": field.failures,
        "peak_memory_ratio": peaks["reproducible"] / peaks["native"] if len(peaks) > 1 else None,
        "seconds": {name: [each / _STEPS for each in samples[name]] for name in samples},
    }


def memory(backend: str, quick: bool) -> dict[str, Any]:
    """Measure the peak of training on 60,000 images: a process that does nothing else for each.

    Returns {"network", …, "contenders": {name: {peak, data}}}, in bytes.
    """
    job = Job((784, 1024, 10), 256, "adam", 1024 if quick else 59904)
    measured: dict[str, dict[str, int]] = {}
    for name, entry in CONTENDERS[backend].items():
        if entry.kind != "limit":
            say(f"memory: {entry.label}")
            width = 1 if entry.options.get("pixels") else 4
            with field_of({name: entry}) as field:
                field.prepare(job)
                for peak in field.ask("peak_of_process").values():
                    data = width * job.examples * job.sizes[0]
                    measured[name] = {"peak": peak, "data": data}
    what = {"network": job.network, "batch": job.batch, "optimizer": job.optimizer}
    return {**what, "examples": job.examples, "contenders": measured}


def startup(backend: str, quick: bool) -> dict[str, Any]:
    """Measure imports and commands that train nothing, each in a process of its own.

    Returns {"seconds": {command: samples}}, of those that end well.
    """
    del backend  # the same commands whatever it is
    say("startup")
    samples: dict[str, list[float]] = {}
    for turn in range(2 if quick else 8):
        for name, command in STARTS.items():
            begin = time.perf_counter()
            done = subprocess.run([sys.executable, *command], capture_output=True, check=False)
            if turn and not done.returncode:  # the first brings the files into the system's cache
                samples.setdefault(name, []).append(time.perf_counter() - begin)
    return {"seconds": samples}
