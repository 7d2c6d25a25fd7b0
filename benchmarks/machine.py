"""The machine that a result was measured on: processor, threads, versions, load, date."""

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["describe_machine", "usable_processors"]

PACKAGES = (  # the project itself has a commit
    "numpy", "torch", "jax", "jaxlib", "scikit-learn", "array-api-compat", "cupy-cuda12x",
    "cupy-cuda13x",
)  # fmt: skip
_BLAS = ("internal_api", "num_threads", "version", "architecture")


def usable_processors() -> int:
    """Return how many processors this process may use: as many threads as any library takes."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe_machine(backend: str) -> dict[str, Any]:
    """Return what a result must be read with; of a GPU also its name."""
    from threadpoolctl import threadpool_info

    pools = [pool for pool in threadpool_info() if "architecture" in pool]
    information = Path("/proc/cpuinfo")
    found = information.exists() and re.search(r"model name\s*: (.*)", information.read_text())
    installed = {each.name: each.version for each in metadata.distributions()}
    described = {
        "processor": found[1] if found else platform.processor() or platform.machine(),
        "threads": usable_processors(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: installed[name] for name in PACKAGES if name in installed},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "blas": [{key: pool[key] for key in _BLAS} for pool in pools],
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "commit": _output("git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"),
    }
    if backend != "numpy":
        described["gpu"] = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    return described


def _output(*command: str) -> str:
    """Return the output of a command, or an empty text if it is missing or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
