"""Start-up times, each in a process of its own: imports, and the commands that train nothing."""

import subprocess
import sys
import time
from importlib.util import find_spec
from typing import Any

from benchmarks.measure import say

__all__ = ["measure"]

IMPORTS = ("numpy", "pluggable_mlp", "torch", "jax", "sklearn.neural_network")
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    **{f"import {name}": ["-c", f"import {name}"] for name in IMPORTS},
    # It imports its names when they are asked for.
    "import pluggable_mlp": ["-c", "from pluggable_mlp import *"],
    "pluggable-mlp --help": ["-m", "pluggable_mlp", "--help"],
    "pluggable-mlp backends": ["-m", "pluggable_mlp", "backends"],
}
_LOADED = """
import runpy, sys
sys.argv = ["pluggable-mlp", "backends"]
try:
    runpy.run_module("pluggable_mlp", run_name="__main__")
except SystemExit:
    pass
print("imported:", *sorted({"torch", "jax"} & set(sys.modules)))
"""


def measure(backend: str, quick: bool, seconds: float) -> dict[str, Any]:
    """Return {"seconds": {command: samples}, "slow_libraries_imported_by_backends": names}."""
    del backend, seconds  # the same commands whatever the backend, as often as it says here
    commands = {
        name: command
        for name, command in COMMANDS.items()
        if not name.startswith("import ") or find_spec(name.split()[1].split(".")[0])
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    say("startup")
    for turn in range(2 if quick else 8):
        for name, command in commands.items():
            taken = _seconds(command)
            if turn:  # the first turn brings the files into the system's cache
                seconds[name].append(taken)
    told = subprocess.run(
        [sys.executable, "-c", _LOADED], capture_output=True, text=True, check=True
    )
    imported = told.stdout.splitlines()[-1].split()[1:]
    return {"seconds": seconds, "slow_libraries_imported_by_backends": imported}


def _seconds(command: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, *command], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin
