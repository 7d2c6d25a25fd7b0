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
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # to find the package benchmarks

from benchmarks.contenders import CONTENDERS
from benchmarks.machine import describe_machine, usable_processors

__all__ = ["PARTS", "Part", "main"]


class Part(NamedTuple):
    """A part of the benchmark.

    `path` is module:function, which takes the backend's name, whether the run is quick, and about
    how many seconds it may take, and returns its JSON.  The seconds are enough for the least number
    of samples, and for some more of quick ones; of parts whose work is fixed, what they take.
    """

    path: str
    seconds: float
    quick_seconds: float


PARTS = {
    "steps": Part("benchmarks.peers:steps", 1300.0, 8.0),
    "inference": Part("benchmarks.peers:inference", 400.0, 4.0),
    "fit": Part("benchmarks.peers:fit", 290.0, 4.0),
    "reproducible": Part("benchmarks.prices:reproducible", 150.0, 6.0),
    "estimators": Part("benchmarks.estimators:estimators", 270.0, 10.0),
    "memory": Part("benchmarks.prices:memory", 40.0, 20.0),
    "startup": Part("benchmarks.prices:startup", 40.0, 10.0),
    "scaling": Part("benchmarks.scaling:scaling", 240.0, 8.0),
    "roofline": Part("benchmarks.limits:roofline", 10.0, 5.0),
}
"""By their names on the command line, in the order of a run."""
OF_THE_HOST = (
    "memory",
    "startup",
    "estimators",
    "scaling",
)  # left out on a GPU: they look at the host


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
    names = [name for name in PARTS if name in (options.only or everything)]
    wanted = [PARTS[name].quick_seconds if quick else PARTS[name].seconds for name in names]
    end = time.perf_counter() + 60.0 * (options.minutes or 0.0)
    for place, name in enumerate(names):
        begin = time.perf_counter()
        seconds = wanted[place]
        if options.minutes:
            seconds *= (end - begin) / sum(wanted[place:])
        machine = describe_machine(backend)
        result = resolve_name(PARTS[name].path)(backend, quick, seconds)
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
        "--minutes",
        type=float,
        help="about how long steps, inference, fit and reproducible may take beside the others, "
        "whose work is fixed; every cell has five samples at least",
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
