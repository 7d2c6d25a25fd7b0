"""Results as Markdown: a function for each part, from its JSON to a table.

How results are gathered and where the tables go belongs in `report.py`; the tables of paper
against measurement in `paper.py`.
"""

import statistics
from typing import Any

from benchmarks.contenders import CONTENDERS, Entry
from benchmarks.job import HEADLINES
from benchmarks.measure import quartiles, ratio
from benchmarks.ratios import OPTIMIZERS, best_against_best
from benchmarks.text import markdown, number

__all__ = ["TABLES", "headline"]

ESTIMATORS = {"ours": "ours", "ours-torch": "ours on torch", "ours-jax": "ours on jax"}
_UINT8 = "ours-uint8"


def entries_of(backend: str, samples: list[dict[str, Any]]) -> dict[str, Entry]:
    """Return the contenders that have samples, in their order."""
    present = {name for each in samples for name in each}
    return {name: entry for name, entry in CONTENDERS[backend].items() if name in present}


def grid_table(backend: str, cells: list[dict[str, Any]], key: str) -> str:
    """Return microseconds, and in brackets the multiple of the limit, for every cell."""
    entries = entries_of(backend, [cell[key] for cell in cells])
    header = ["network", "batch", *(entry.label for entry in entries.values())]
    rows = []
    for cell in cells:
        samples = cell[key]
        row = [cell["network"], str(cell["batch"])]
        row += [_timed(samples, name, cell["failed"]) for name in entries]
        rows.append([*row, _against_best(backend, samples), _spread(samples)])
    return markdown([*header, "fastest of ours / fastest peer", "spread"], rows)


def _timed(samples: dict[str, list[float]], name: str, failed: dict[str, str]) -> str:
    if name not in samples:
        return "failed" if name in failed else ""
    text = number(1e6 * statistics.median(samples[name]))
    return text if name == "limit" else f"{text} ({ratio(samples[name], samples['limit']):.2f})"


def _against_best(backend: str, samples: dict[str, list[float]]) -> str:
    best = best_against_best(backend, samples)
    if best is None:
        return ""
    ours, theirs = (CONTENDERS[backend][name].label for name in (best.ours, best.theirs))
    return f"{best.ratio:.2f} ({ours} / {theirs})"


def _spread(samples: dict[str, list[float]]) -> str:
    """Return the widest of the ranges between quartiles, as a part of the median."""
    widths = []
    for taken in samples.values():
        _, lower, median, upper = quartiles(taken)
        widths.append((upper - lower) / median)
    return f"{max(widths):.0%}"


def steps_table(backend: str, result: dict[str, Any]) -> str:
    """Return a table for each optimizer."""
    tables = []
    for optimizer, name in OPTIMIZERS.items():
        cells = [cell for cell in result["cells"] if cell["optimizer"] == optimizer]
        if cells:
            tables += [f"{name}, microseconds a step:", grid_table(backend, cells, _A_STEP)]
    return "\n\n".join(tables)


_A_STEP = "seconds_per_step"


def inference_table(backend: str, result: dict[str, Any]) -> str:
    """Return microseconds a batch."""
    return "Microseconds a batch:\n\n" + grid_table(backend, result["cells"], "seconds_per_batch")


def fit_table(backend: str, result: dict[str, Any]) -> str:
    """Return the seconds of a whole fit, and the loss and accuracy after it."""
    cases = result["cases"]
    entries = entries_of(backend, [case["seconds"] for case in cases])
    rows = []
    for case in cases:
        for name, entry in entries.items():
            if name not in case["seconds"]:
                continue
            taken, limit = case["seconds"][name], case["seconds"]["limit"]
            low, lower, median, upper = quartiles(taken)
            learnt = name != "limit"
            rows.append(
                [
                    f"{case['network']}, {case['batch']}, {case['optimizer']}, {case['data']}",
                    entry.label,
                    f"{median:.4g}",
                    f"{low:.4g}; {lower:.4g} to {upper:.4g}",
                    f"{ratio(taken, limit):.2f}" if learnt else "",
                    f"{case['loss'][name]:.4f}" if learnt else "",
                    f"{case['accuracy'][name]:.2%}" if learnt else "",
                    f"{case['first_seconds'][name]:.3g}",
                ]
            )
    header = ["network, batch, optimizer, data", "", "seconds", "least; quartiles", "/ limit"]
    header += ["training loss", "test accuracy", "first time, with compiling"]
    return markdown(header, rows)


def accuracy_table(backend: str, result: dict[str, Any]) -> str:
    """Return the seconds and epochs until the accuracy, for each seed."""
    if "left_out" in result:
        return f"Left out: {result['left_out']}."
    rows = []
    for name, runs in result["runs"].items():
        seconds = [run["seconds"] for run in runs if run["accuracy"] >= result["accuracy"]]
        missed = len(runs) - len(seconds)
        rows.append(
            [
                CONTENDERS[backend][name].label,
                f"{statistics.median(seconds):.2f}" if seconds else "",
                ", ".join(f"{each:.2f}" for each in sorted(seconds)),
                ", ".join(str(run["epochs"]) for run in runs),
                f"{missed} of {len(runs)}" if missed else "",
            ]
        )
    title = f"{result['network']}, batch {result['batch']}, {result['optimizer']}:"
    header = ["", f"seconds to {result['accuracy']:.0%}, median", "each", "epochs", "missed"]
    return title + "\n\n" + markdown(header, rows)


def memory_table(backend: str, result: dict[str, Any]) -> str:
    """Return the peak memory of each contender's process."""
    rows = []
    for name, found in result["contenders"].items():
        label = CONTENDERS[backend][name].label
        if "failed" in found:
            rows.append([label, "failed", "", ""])
            continue
        data, peak = (found[key] / 1e6 for key in ("data", "peak"))
        rows.append([label, *(f"{megabytes:.0f}" for megabytes in (data, peak, peak - data))])
    title = f"{result['network']}, {result['optimizer']}, {result['examples']:,} images, MB:"
    header = ["", "data", "peak of the process", "without the data"]
    return title + "\n\n" + markdown(header, rows)


def startup_table(backend: str, result: dict[str, Any]) -> str:
    """Return milliseconds of each command."""
    del backend
    rows = []
    for command, taken in result["seconds"].items():
        low, lower, median, upper = (1e3 * value for value in quartiles(taken))
        rows.append([f"`{command}`", f"{median:.0f}", f"{low:.0f}; {lower:.0f} to {upper:.0f}"])
    imported = ", ".join(result["slow_libraries_imported_by_backends"]) or "neither PyTorch nor JAX"
    table = markdown(["", "milliseconds", "least; quartiles"], rows)
    return f"{table}\n\n`pluggable-mlp backends` imports {imported}."


def estimators_table(backend: str, result: dict[str, Any]) -> str:
    """Return mean scores and median times of a fit, ours and scikit-learn's, for each case."""
    del backend
    names = [name for name in ESTIMATORS if any(name in case["scores"] for case in result["cases"])]
    header = ["data", "examples x features", "score", "scikit-learn's", "its standard error"]
    header += ["scikit-learn's fit, s", *(f"its time / {ESTIMATORS[name]}" for name in names)]
    rows = []
    for case in result["cases"]:
        scores, seconds = case["scores"], case["seconds"]
        error = statistics.pstdev(scores["theirs"]) / max(len(scores["theirs"]) - 1, 1) ** 0.5
        rows.append(
            [
                case["data"],
                f"{case['examples']} x {case['features']}",
                f"{statistics.mean(scores['ours']):.4f}",
                f"{statistics.mean(scores['theirs']):.4f}",
                f"{error:.4f}",
                number(statistics.median(seconds["theirs"])),
                *(f"{ratio(seconds['theirs'], seconds[name]):.2f}" for name in names),
            ]
        )
    return markdown(header, rows)


def reproducible_table(backend: str, result: dict[str, Any]) -> str:
    """Return the price of the reproducible arithmetic."""
    del backend
    header = ["backend", "network, batch", "data", "dtype"]
    header += ["native, ms", "reproducible, ms", "ratio", "peak memory, ratio"]
    rows = []
    for case in result["cases"]:
        row = [case["backend"], f"{case['network']}, {case['batch']}", case["data"], case["dtype"]]
        if "failed" in case:
            rows.append([*row, case["failed"], "", "", ""])
            continue
        memory = case["peak_memory_ratio"]
        row += [number(case["native_ms"]), number(case["reproducible_ms"])]
        rows.append([*row, f"{case['ratio']:.2f}", f"{memory:.2f}" if memory else ""])
    return markdown(header, rows)


def headline(backend: str, steps: dict[str, Any], fit: dict[str, Any] | None = None) -> str:
    """Return plain SGD in a few cells, as multiples of the limit and best against best."""
    header = ["batch, network", "products alone", "bare NumPy loop", "pluggable-mlp"]
    header += ["from uint8 pixels", "whole fit", "fastest of ours", "fastest peer", "ours / theirs"]
    cases = (fit or {}).get("cases", [])
    fits = {(c["network"], c["batch"], c["optimizer"]): c["seconds"] for c in cases}
    rows = []
    for network, batch in HEADLINES:
        for cell in steps["cells"]:
            if (cell["network"], cell["batch"], cell["optimizer"]) == (network, batch, "sgd"):
                whole = fits.get((network, batch, "sgd"), {})
                rows.append(_headline_row(backend, cell, whole))
    return markdown(header, rows)


def _headline_row(backend: str, cell: dict[str, Any], whole: dict[str, list[float]]) -> list[str]:
    samples = cell[_A_STEP]

    def multiple(name: str, of: dict[str, list[float]]) -> str:
        return f"{ratio(of[name], of['limit']):.2f}" if name in of else ""

    best = best_against_best(backend, samples)
    labels = [CONTENDERS[backend][name].label for name in (best.ours, best.theirs)] if best else []
    return [
        f"{cell['batch']}, {cell['network']}",
        f"{number(1e6 * statistics.median(samples['limit']))} µs",
        multiple("loop", samples),
        multiple("ours", samples),
        multiple(_UINT8, samples),
        multiple("ours", whole),
        *(labels or ("", "")),
        f"{best.ratio:.2f}" if best else "",
    ]


TABLES = {
    "steps": ("Training steps", steps_table),
    "inference": ("Inference", inference_table),
    "fit": ("A whole fit", fit_table),
    "accuracy": ("Time to an accuracy", accuracy_table),
    "memory": ("Peak memory", memory_table),
    "startup": ("Start-up", startup_table),
    "estimators": ("scikit-learn's estimators and ours", estimators_table),
    "reproducible_price": ("The price of reproducible arithmetic", reproducible_table),
}
"""From the name of a result's file to its title and its table."""
