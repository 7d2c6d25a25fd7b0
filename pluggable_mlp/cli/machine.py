"""What slows NumPy on this machine: BLAS's kernels against the processor's, and its threads."""

import os
from pathlib import Path

from pluggable_mlp.cli.streams import counted

__all__ = ["speed_notes"]

_CPUINFO = Path("/proc/cpuinfo")
_BETTER_KERNELS = {
    "avx512f": ("SkylakeX", ("Prescott", "Core2", "Nehalem", "Sandybridge", "Haswell", "Zen")),
    "avx2": ("Haswell", ("Prescott", "Core2", "Nehalem", "Sandybridge")),
}
"""What a processor can do: the kernels of OpenBLAS that use it, and those that do not."""


def speed_notes() -> list[str]:
    """Return a line for each BLAS that NumPy has loaded, with what would make it faster."""
    import numpy as np  # which loads its BLAS
    from threadpoolctl import threadpool_info

    del np
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    return [_note(pool) for pool in pools]


def _note(pool: dict[str, object]) -> str:
    name, kernels = pool["internal_api"], pool.get("architecture") or "an unnamed processor"
    threads, processors = int(str(pool["num_threads"])), _processors()
    words = f"NumPy's BLAS: {name} {pool['version']}, kernels for {kernels}, "
    words += counted(threads, "thread")
    if threads < processors:
        words += f"; {processors} processors could be used: see {str(name).upper()}_NUM_THREADS"
    flags = _flags()
    for flag, (better, without) in _BETTER_KERNELS.items():
        if flag in flags and kernels in without:
            return f"{words}; the processor has {flag}: {_remedy(better)}"
    return words


def _remedy(kernels: str) -> str:
    """Return how OpenBLAS comes to use these kernels."""
    if "OPENBLAS_CORETYPE" in os.environ:
        return f"unset OPENBLAS_CORETYPE, or set it to {kernels}"
    return f"try OPENBLAS_CORETYPE={kernels}"


def _processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _flags() -> set[str]:
    """Return what Linux says that the processor can do; nothing elsewhere."""
    if not _CPUINFO.exists():
        return set()
    lines = _CPUINFO.read_text("utf-8", errors="replace").splitlines()
    return {flag for line in lines if line.startswith("flags") for flag in line.split()}
