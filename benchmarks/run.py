"""The benchmark: this library against the limit of the processor and against its peers.

    python -m pip install -e '.[bench]' && python benchmarks/run.py

The results go to benchmarks/results/, one JSON file for each part, written when the part is done,
with the tables and the plot made of them (`docs/include.py` puts them into the documents).  What is
measured stands in `parts/`, who competes in `contenders/`.
"""

import argparse
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # to find the package benchmarks

from benchmarks.machine import describe_machine
from benchmarks.measure import say
from benchmarks.parts import PARTS
from benchmarks.report import folder_of, write_report

__all__ = ["main"]

OF_THE_HOST = ("memory", "startup", "estimators")  # left out on a GPU: they look at the host
FILES = {"reproducible": "reproducible_price"}  # else the part's own name
_FLAT_LIST = re.compile(r"\[\s+([^][{}]+?)\s+\]")


def main() -> None:
    """Measure what is asked for, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--backend",
        choices=("numpy", "cupy"),
        default="numpy",
        help="numpy: this processor; cupy: an NVIDIA GPU, against PyTorch's CUDA",
    )
    parser.add_argument(
        "--only", choices=list(PARTS), nargs="+", metavar="PART", help=f"of {', '.join(PARTS)}"
    )
    parser.add_argument(
        "--minutes",
        type=float,
        help="about how long steps, inference, fit, reproducible and scaling may take beside the "
        "others, whose work is fixed; every cell has five samples at least",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a small grid; results go to results/quick/"
    )
    parser.add_argument("--output", type=Path, help="another folder for the results")
    options = parser.parse_args()
    folder = options.output or folder_of(options.backend, options.quick)
    folder.mkdir(parents=True, exist_ok=True)
    everything = [name for name in PARTS if options.backend == "numpy" or name not in OF_THE_HOST]
    names = [name for name in PARTS if name in (options.only or everything)]
    wanted = {
        name: PARTS[name].quick_seconds if options.quick else PARTS[name].seconds for name in names
    }
    end = time.perf_counter() + 60.0 * options.minutes if options.minutes else None
    for name in names:
        begin = time.perf_counter()
        seconds = wanted[name]
        if end is not None:
            left = sum(wanted[each] for each in names[names.index(name) :])
            seconds *= (end - begin) / left
        machine = describe_machine(options.backend)
        result = PARTS[name].measure(options.backend, options.quick, seconds)
        _write(folder / f"{FILES.get(name, name)}.json", {**result, "machine": machine})
        report = write_report(options.backend, folder)
        say(f"{name}: {time.perf_counter() - begin:.0f} s")
    print(report)


def _write(path: Path, result: dict[str, Any]) -> None:
    text = json.dumps(_rounded(result), indent=1, ensure_ascii=False)
    text = _FLAT_LIST.sub(lambda found: "[" + " ".join(found[1].split()) + "]", text)
    path.write_text(text + "\n", encoding="utf-8")


def _rounded(value: Any) -> Any:
    """Return a JSON value with floats of five digits: no clock is better."""
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
