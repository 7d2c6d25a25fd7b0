"""The machine that a result was measured on: processor, threads, versions, load, date."""

import contextlib
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["describe_machine", "processor", "thread_pools", "usable_processors"]

PACKAGES = ("pluggable-mlp", "numpy", "torch", "jax", "jaxlib", "scikit-learn", "array-api-compat")
GPU_PACKAGES = ("cupy-cuda12x", "cupy-cuda13x")


def usable_processors() -> int:
    """Return how many processors this process may use: as many threads as any library takes."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """Return the processor's name."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def thread_pools() -> list[dict[str, Any]]:
    """Return the thread pools of the libraries of this process, as threadpoolctl sees them."""
    from threadpoolctl import threadpool_info

    kept = ("internal_api", "num_threads", "version", "architecture")
    return [{key: pool[key] for key in kept if key in pool} for pool in threadpool_info()]


def describe_machine(backend: str) -> dict[str, Any]:
    """Return what a result must be read with; of a GPU also its name."""
    versions = {name: _version(name) for name in PACKAGES + GPU_PACKAGES}
    described = {
        "processor": processor(),
        "threads": usable_processors(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version for name, version in versions.items() if version},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "blas": [pool for pool in thread_pools() if "architecture" in pool],
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }
    if backend != "numpy":
        described["gpu"] = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    commit = _output("git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD")
    return {**described, "commit": commit} if commit else described


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _output(*command: str) -> str:
    """Return the output of a command, or an empty text if it is missing or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
