"""Results as Markdown: every table by its name, made of the JSON of the last run.

A ratio is our time over theirs: 1 is a tie, less is faster.  Where a library is used by hand in
several ways (a compiled step or a loop over the epoch), the one that is faster in a cell counts.
`docs/include.py` puts the tables into the documents.
"""

import json
import statistics
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import scaling
from benchmarks.contenders import CONTENDERS, Entry

__all__ = ["CHART", "LIBRARIES", "OPTIMIZERS", "RESULTS", "fastest", "recorded_tables", "report"]

RESULTS = Path(__file__).resolve().parent / "results"
CHART = "benchmark.svg"
LIBRARIES = {"numpy": "NumPy", "torch": "PyTorch", "jax": "JAX", "cupy": "CuPy"}
OPTIMIZERS = {"sgd": "SGD", "adam": "Adam"}
ESTIMATORS = {"ours": "ours", "ours-torch": "ours on torch", "ours-jax": "ours on jax"}
BEST = "our fastest / fastest by hand"
NUMBERS = {
    "steps, SGD": "time of a step with SGD on our fastest backend, over the fastest by hand",
    "steps, Adam": "the same with Adam",
    "predictions": "a batch of predictions, likewise",
}
# (network, batch) of the steps whose limit is computed.
STEPS = (("784-100-10", 128), ("784-100-10", 1024), ("784-1024-10", 256), ("784-100-10", 1))
# NVIDIA's data sheet of the H100 SXM: float32 outside of the tensor cores, HBM3.
H100 = {"gflops": {"float32": 67_000.0}, "gigabytes_per_second": 3_350.0}

Samples = dict[str, list[float]]
Results = dict[str, dict[str, Any]]


class Comparison(NamedTuple):
    """Two contenders by their names, and the median of our time over theirs."""

    ours: str
    theirs: str
    ratio: float


def fastest(
    entries: dict[str, Entry], samples: Samples, kind: str, library: str | None = None
) -> str:
    """Return the contender of a kind with the least median; "" if there is none.

    With a library, of those that use it.
    """
    names = [
        name
        for name in samples
        if entries[name].kind == kind and library in (None, entries[name].library)
    ]
    return min(names, key=lambda name: statistics.median(samples[name]), default="")


def _comparisons(entries: dict[str, Entry], samples: Samples) -> dict[str, Comparison]:
    """Return ours against theirs for each library, and best against best, by the titles.

    Only those of which both were measured.
    """
    found = {}
    for library, title in (*LIBRARIES.items(), (None, BEST)):
        ours, theirs = (fastest(entries, samples, kind, library) for kind in ("ours", "peer"))
        if ours and theirs:
            found[title] = Comparison(ours, theirs, _ratio(samples, ours, theirs))
    return found


def _numbers(backend: str, results: Results) -> str:
    """Return six figures: what is compared, and the ratio."""
    best = _ratios_by_title(backend, results).get(BEST, {})
    found = {what: best.get(column, []) for column, what in NUMBERS.items()}
    found["time of `MLPClassifier.fit` on NumPy, over scikit-learn's"] = [
        _ratio(case["seconds"], "ours", "theirs") for case in _cases(results, "estimators")
    ]
    found["time of a step with the same bits everywhere, over a native one, on NumPy"] = [
        _ratio(case["seconds"], "reproducible", "native")
        for case in _cases(results, "reproducible")
        if case["backend"] == "numpy" and not case["failed"]
    ]
    rows = [[what, _range(ratios)] for what, ratios in found.items() if ratios]
    seconds = results.get("startup", {}).get("seconds", {})
    imports = [
        seconds.get(f"import {name}") for name in ("pluggable_mlp", "sklearn.neural_network")
    ]
    if all(imports):
        ratio = statistics.median(imports[0]) / statistics.median(imports[1])
        what = "time of `import pluggable_mlp`, over `import sklearn.neural_network`"
        rows.append([what, f"{ratio:.2f}"])
    return _markdown(["measured", "result"], rows)


def _summary(backend: str, results: Results) -> str:
    """Return the ratios in short: the median over the cells, the least and the largest."""
    columns = list(dict.fromkeys(what for what, _ in _compared_cases(results)))
    found = _ratios_by_title(backend, results)
    rows = [
        [title, *(_range(found[title].get(what, [])) for what in columns)]
        for title in (*LIBRARIES.values(), BEST)
        if title in found
    ]
    return _markdown(["ours / by hand", *columns], rows)


def _ratios(backend: str, results: Results) -> str:
    """Return every cell: the limit, ours as multiples of it, and ours against theirs."""
    entries = CONTENDERS[backend]
    shown = [name for name in ("ours", "ours-uint8") if name in entries]
    compared = _ratios_by_title(backend, results)
    titles = [title for title in (*LIBRARIES.values(), BEST) if title in compared]
    rows, left_out = [], []
    for what, case in _compared_cases(results):
        samples = case["seconds"]
        row = [what, case["network"], str(case["batch"]), _time(samples.get("limit"))]
        for name in shown:
            both = name in samples and "limit" in samples
            row.append(f"{_ratio(samples, name, 'limit'):.2f}" if both else "")
        found = _comparisons(entries, samples)
        rows.append([*row, *(_told(entries, found.get(title), title == BEST) for title in titles)])
        left_out += [
            f"\n\nLeft out of {what}, {row[1]}, {row[2]}: {entries[name].label}: {reason}"
            for name, reason in case["failed"].items()
        ]
    labels = (f"{entries[name].label} / products" for name in shown)
    header = ["", "network", "batch", "products alone", *labels, *titles]
    return _markdown(header, rows) + "".join(left_out)


def _estimators(_: str, results: Results) -> str:
    """Return mean scores and median times of a fit, ours and scikit-learn's, for each case."""
    cases = _cases(results, "estimators")
    names = [name for name in ESTIMATORS if any(name in case["scores"] for case in cases)]
    header = ["data", "examples x features", "score", "scikit-learn's", "its standard error"]
    header += ["scikit-learn's fit", *(f"its time / {ESTIMATORS[name]}" for name in names)]
    rows = []
    for case in cases:
        scores, seconds = case["scores"], case["seconds"]
        error = statistics.pstdev(scores["theirs"]) / max(len(scores["theirs"]) - 1, 1) ** 0.5
        row = [case["data"], f"{case['examples']} x {case['features']}"]
        row += [f"{statistics.mean(scores[name]):.4f}" for name in ("ours", "theirs")]
        row += [f"{error:.4f}", _time(seconds["theirs"])]
        rows.append([*row, *(f"{_ratio(seconds, 'theirs', name):.2f}" for name in names)])
    quotients = _range([_ratio(case["seconds"], "theirs", "ours") for case in cases])
    told = f"Its time / ours, the median over the data, the least and the largest: {quotients}."
    return f"{_markdown(header, rows)}\n\n{told}"


def _reproducible(_: str, results: Results) -> str:
    """Return the price of the reproducible arithmetic."""
    header = ["backend", "network, batch", "data", "dtype"]
    header += ["native", "reproducible", "ratio", "peak memory, ratio"]
    rows = []
    for case in _cases(results, "reproducible"):
        row = [case["backend"], f"{case['network']}, {case['batch']}", case["data"], case["dtype"]]
        seconds, memory = case["seconds"], case["peak_memory_ratio"]
        if case["failed"]:
            row += ["; ".join(case["failed"].values()), "", ""]
        else:
            row += [_time(seconds[name]) for name in ("native", "reproducible")]
            row.append(f"{_ratio(seconds, 'reproducible', 'native'):.2f}")
        rows.append([*row, f"{memory:.2f}" if memory else ""])
    return _markdown(header, rows)


def _memory(backend: str, results: Results) -> str:
    """Return the peak memory of each contender's process."""
    result = results["memory"]
    rows = []
    for name, found in result["contenders"].items():
        data, peak = (found[key] / 1e6 for key in ("data", "peak"))
        megabytes = [f"{each:.0f}" for each in (data, peak, peak - data)]
        rows.append([CONTENDERS[backend][name].label, *megabytes])
    title = f"{result['network']}, {result['optimizer']}, {result['examples']:,} images, MB:"
    return f"{title}\n\n" + _markdown(["", "data", "peak of the process", "without the data"], rows)


def _startup(_: str, results: Results) -> str:
    """Return the time of each command."""
    seconds = results["startup"]["seconds"]
    rows = [[f"`{name}`", _time(taken), _time([min(taken)])] for name, taken in seconds.items()]
    return _markdown(["", "median", "least"], rows)


def _scaling(_: str, results: Results) -> str:
    """Return the time of a step on one and on two processes, with a thread each."""
    return _markdown(*scaling.table(results))


def _roofline(_: str, results: Results) -> str:
    """Return the machine's speed, and the least time of a step's products beside what they took."""
    speed = results.get("roofline")
    if speed is None:
        return ""
    cells = {
        (case["network"], case["batch"]): case["seconds"]
        for case in _cases(results, "steps")
        if case["optimizer"] == "sgd"
    }
    rows = []
    for network, batch in STEPS:
        here, h100 = (_time([least_seconds(network, batch, speeds)]) for speeds in (speed, H100))
        taken = cells.get((network, batch), {})
        rows.append(
            [f"{batch}, {network}", here, _time(taken.get("limit")), _time(taken.get("ours")), h100]
        )
    header = ["batch, network", "roofline", "products measured", "whole step"]
    told = (
        f"{speed['gflops']['float32']:.0f} GFLOP/s in float32, {speed['gflops']['float64']:.0f} "
        f"in float64, {speed['gigabytes_per_second']:.1f} GB/s, "
        f"{speed['microseconds_per_call']:.2f} µs for a call on one number."
    )
    return f"{told}\n\n" + _markdown([*header, "H100's roofline (not measured)"], rows)


def least_seconds(network: str, batch: int, machine: dict[str, Any]) -> float:
    """Return the roofline of the float32 products of a training step on a machine.

    Each takes at least its operations over the peak speed, and its bytes over the bandwidth of
    memory (Williams, Waterman, Patterson, "Roofline", CACM 52, 2009).
    """
    seconds = 0.0
    for layer, (m, n) in enumerate(pairwise(map(int, network.split("-")))):
        computing = 2 * batch * m * n / (1e9 * machine["gflops"]["float32"])
        moved = 4 * (batch * m + m * n + batch * n)  # each array once, read or written
        # Forward, and for the gradients of the weights and, but for the data's, of the inputs.
        products = 3 if layer else 2
        seconds += products * max(computing, moved / (1e9 * machine["gigabytes_per_second"]))
    return seconds


class Table(NamedTuple):
    """A table of the report, made of the results of those of its parts that are there."""

    title: str
    parts: tuple[str, ...]
    make: Callable[[str, Results], str]
    names_machine: bool = True


_PEERS = ("steps", "inference", "fit")
TABLES = {
    "numbers": Table(
        "Six numbers", (*_PEERS[:2], "estimators", "reproducible", "startup"), _numbers, False
    ),
    "summary": Table("Against code written by hand", _PEERS, _summary),
    "ratios": Table("Every cell", _PEERS, _ratios),
    "estimators": Table("scikit-learn's estimators and ours", ("estimators",), _estimators),
    "reproducible": Table("The price of the same bits", ("reproducible",), _reproducible),
    "memory": Table("Peak memory", ("memory",), _memory),
    "startup": Table("Start-up", ("startup",), _startup),
    "roofline": Table("The limit of a step", ("roofline", "steps"), _roofline),
    "scaling": Table("One training on two processes", ("scaling",), _scaling),
}
"""In the order of the report, by the names that the documents have in their markers."""


def report(backend: str, folder: Path) -> str:
    """Return all tables of a folder's results as a page."""
    tables = _tables_of(backend, folder)
    return "\n\n".join(f"## {TABLES[name].title}\n\n{table}" for name, table in tables.items())


def recorded_tables() -> dict[str, str]:
    """Return the tables of the committed results, by their names."""
    return _tables_of("numpy", RESULTS)


def _tables_of(backend: str, folder: Path) -> dict[str, str]:
    """Return every table that can be made of a folder's results, with its machine."""
    results = {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")
    }
    tables = {}
    for name, (_, parts, make, names_machine) in TABLES.items():
        present = [part for part in parts if part in results]
        if present and (text := make(backend, results)):
            tables[name] = f"{text}\n\n{_machines(results, present)}" if names_machine else text
    return tables


_THREADS = {"scaling": "1 thread for each process"}
"""What a part gives to those that it measures, if not all threads of the machine to each."""


def _machines(results: Results, parts: list[str]) -> str:
    """Return on which machine each of these parts was measured; once, where it is the same."""
    measured: dict[str, list[str]] = {}
    for part in parts:
        machine = results[part]["machine"]
        # With the kernels that NumPy's BLAS chose: their speeds differ, on one processor.
        kernels = " and ".join(sorted({pool["architecture"] for pool in machine["blas"]}))
        versions = (f"{name} {version}" for name, version in machine["versions"].items())
        setting = ", ".join(
            [
                *filter(None, (machine["processor"], machine.get("gpu"))),
                _THREADS.get(part, f"{machine['threads']} threads for each contender"),
                machine["system"],
                f"Python {machine['python']}",
                *versions,
                f"BLAS kernels for {kernels}",
            ]
        )
        at = f"{part} on {machine['date'][:10]}, load before {machine['load_before']}"
        measured.setdefault(setting, []).append(at)
    return "\n\n".join(
        f"Measured on {setting}: {'; '.join(moments)}." for setting, moments in measured.items()
    )


def _cases(results: Results, part: str) -> list[dict[str, Any]]:
    return results.get(part, {}).get("cases", [])  # type: ignore[no-any-return]


def _compared_cases(results: Results) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (what, case) of all steps, predictions and fits."""
    titles = {"steps": "steps, {}", "inference": "predictions", "fit": "whole fit, {}"}
    for part, title in titles.items():
        for case in _cases(results, part):
            yield title.format(OPTIMIZERS[case["optimizer"]]), case


def _ratios_by_title(backend: str, results: Results) -> dict[str, dict[str, list[float]]]:
    """Return the ratios of all cells, by the library's title and by what is compared."""
    found: dict[str, dict[str, list[float]]] = {}
    for what, case in _compared_cases(results):
        for title, compared in _comparisons(CONTENDERS[backend], case["seconds"]).items():
            found.setdefault(title, {}).setdefault(what, []).append(compared.ratio)
    return found


def _ratio(samples: Samples, of: str, to: str) -> float:
    """Return the median of the ratios of samples that were taken one after the other."""
    return statistics.median(a / b for a, b in zip(samples[of], samples[to], strict=False))


def _range(values: list[float]) -> str:
    if not values:
        return ""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _told(entries: dict[str, Entry], compared: Comparison | None, both: bool) -> str:
    if compared is None:
        return ""
    ours, theirs = (entries[name].label for name in (compared.ours, compared.theirs))
    return f"{compared.ratio:.2f} ({f'{ours} / ' if both else ''}{theirs})"


def _time(samples: list[float] | None) -> str:
    """Return the median of seconds with three digits."""
    if not samples:
        return ""
    seconds = statistics.median(samples)
    factor, unit = (1e6, "µs") if seconds < 1e-3 else (1e3, "ms") if seconds < 1.0 else (1.0, "s")
    value = factor * seconds
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    """Return a table; nothing without rows."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) if rows else ""
