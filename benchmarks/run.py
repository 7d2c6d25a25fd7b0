"""The benchmark: this library against the limit of the processor and against its peers.

    python -m pip install -e '.[bench]' && python benchmarks/run.py

The results of each part go to a JSON file in benchmarks/results/ when the part is done, in place of
those of the run before; with the steps, a chart of them.  The tables are printed, and
`docs/include.py` puts them into the documents.

The processes of the contenders import this file, too: nothing heavy before `main`.
"""

import argparse
import json
import os
import re
import sys
import time
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # to find the package benchmarks

from benchmarks.contenders import CONTENDERS
from benchmarks.machine import describe_machine, usable_processors

__all__ = ["PARTS", "main"]

PARTS = {
    "steps": "benchmarks.peers:steps",
    "inference": "benchmarks.peers:inference",
    "fit": "benchmarks.peers:fit",
    "reproducible": "benchmarks.prices:reproducible",
    "estimators": "benchmarks.estimators:estimators",
    "memory": "benchmarks.prices:memory",
    "startup": "benchmarks.prices:startup",
    "scaling": "benchmarks.scaling:scaling",
    "roofline": "benchmarks.limits:roofline",
}
"""Functions of the backend's name and of whether the run is quick, which return its JSON.

By their names on the command line, in the order of a run.
"""
OF_THE_HOST = ("memory", "startup", "estimators", "scaling")  # left out on a GPU


def main() -> int:
    """Measure what is asked for, write the results, and return the exit code."""
    options = _options()
    from benchmarks.chart import draw_steps
    from benchmarks.field import say
    from benchmarks.tables import CHART, RESULTS, report
    from pluggable_mlp import BackendUnavailable, get_backend

    backend, quick = options.backend, options.quick
    try:
        get_backend(backend)
    except BackendUnavailable as error:
        say(str(error))
        return 3
    default = RESULTS / ("quick" if quick else "") / ("" if backend == "numpy" else backend)
    folder = options.output or default
    folder.mkdir(parents=True, exist_ok=True)
    everything = [name for name in PARTS if backend == "numpy" or name not in OF_THE_HOST]
    wanted = options.only or everything
    for name in (name for name in PARTS if name in wanted):
        begin = time.perf_counter()
        machine = describe_machine(backend)
        result = resolve_name(PARTS[name])(backend, quick)
        (folder / f"{name}.json").write_text(_json(result | {"machine": machine}), encoding="utf-8")
        if name == "steps":
            draw_steps(CONTENDERS[backend], result["cases"], folder / CHART)
        say(f"{name}: {time.perf_counter() - begin:.0f} s")
    print(report(backend, folder))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--backend",
        choices=list(CONTENDERS),
        default="numpy",
        help="numpy: this processor; cupy: an NVIDIA GPU, against PyTorch and JAX on it",
    )
    parser.add_argument(
        "--only", choices=list(PARTS), nargs="+", metavar="PART", help=f"of {', '.join(PARTS)}"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a small grid; results go to results/quick/"
    )
    parser.add_argument("--output", type=Path, help="another folder for the results")
    return parser.parse_args()


def _json(result: dict[str, Any]) -> str:
    """Return a result as text, floats with five digits: no clock is better."""
    rounded = json.loads(json.dumps(result), parse_float=lambda text: float(f"{float(text):.5g}"))
    text = json.dumps(rounded, indent=1, ensure_ascii=False)
    flat = re.sub(
        r"\[\s+([^][{}]+?)\s+\]", lambda found: "[" + " ".join(found[1].split()) + "]", text
    )
    return flat + "\n"


if __name__ == "__main__":
    # One setting for all libraries, here and in the processes to come, before NumPy is there.
    for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[_name] = str(usable_processors())
    sys.exit(main())
