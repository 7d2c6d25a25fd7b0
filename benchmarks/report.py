"""From the results of a folder to its tables in Markdown, and to the plot.

How a table is made belongs in `tables.py` and `paper.py`; `docs/include.py` puts them into the
documents.
"""

import json
from pathlib import Path
from typing import Any

from benchmarks.paper import products_table, roofline_table, scaling_table
from benchmarks.plot import plot_steps
from benchmarks.ratios import estimators_sentence, numbers_table, ratios_table, summary_table
from benchmarks.tables import TABLES, headline

__all__ = ["folder_of", "named_tables", "read_results", "recorded_tables", "write_report"]

RESULTS = Path(__file__).resolve().parent / "results"
OF_NUMBERS = {"steps", "inference", "estimators", "reproducible_price", "startup"}
PLOT = "Time of a training step over that of the fastest by hand, for each library"


def folder_of(backend: str, quick: bool = False) -> Path:
    """Return where results of a backend are kept; those of a quick run apart."""
    return RESULTS / ("quick" if quick else "") / ("" if backend == "numpy" else backend)


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the JSON of every part that was measured, by the names of the files."""
    names = (*TABLES, "scaling", "roofline")
    paths = {name: folder / f"{name}.json" for name in names}
    return {
        name: json.loads(path.read_text(encoding="utf-8"))
        for name, path in paths.items()
        if path.exists()
    }


def named_tables(backend: str, results: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return every table by its name: those of the parts, `headline`, `machine`, `price`, …"""
    tables = {name: TABLES[name][1](backend, results[name]) for name in TABLES if name in results}
    for name, part in (("price", "reproducible_price"), ("quality", "estimators")):
        if part in tables:
            measured_on = describe(results[part]["machine"])
            tables[name] = f"{tables[part]}\n\nMeasured on {measured_on}"
    if "estimators" in results:
        tables["estimators-sentence"] = estimators_sentence(results["estimators"])
    if {"steps", "inference", "fit"} & set(results):
        measured_on = _machines(results, "steps", "inference", "fit")
        tables["ratios"] = f"{ratios_table(backend, results)}\n\n{measured_on}"
        tables["summary"] = f"{summary_table(backend, results)}\n\n{measured_on}"
    if results.keys() >= OF_NUMBERS:
        tables["numbers"] = f"{numbers_table(backend, results)}\n\n{_machines(results, 'steps')}"
    steps = results.get("steps")
    if steps:
        folder = folder_of(backend).relative_to(RESULTS.parent.parent).as_posix()
        tables["plot"] = f"![{PLOT}](../{folder}/benchmark.svg)"  # from a page in docs/
        fit = results.get("fit")
        if fit and _setting(fit["machine"]) != _setting(steps["machine"]):
            fit = None  # one table, one machine
        tables["headline"] = headline(backend, steps, fit)
        tables["machine"] = describe(steps["machine"])
    if "scaling" in results:
        tables["scaling"] = scaling_table(results["scaling"])
    if "roofline" in results:
        machine = results["roofline"]
        tables["machine-speed"] = _speed(machine)
        tables["products"] = products_table(machine)
        tables["roofline"] = roofline_table(machine, steps)
    return tables


def _machines(results: dict[str, dict[str, Any]], *parts: str) -> str:
    """Return on which machine each of these parts was measured; once, where it is the same."""
    measured: dict[str, dict[str, str]] = {}
    for part in parts:
        machine = results.get(part, {}).get("machine")
        if machine:
            measured.setdefault(_setting(machine), {})[part] = _moment(machine)
    return "\n\n".join(
        f"Measured on {setting}" + "; ".join(f"{part}: {at}" for part, at in moments.items()) + "."
        for setting, moments in measured.items()
    )


def describe(machine: dict[str, Any]) -> str:
    """Return a sentence on the machine of a result."""
    return f"{_setting(machine)}{_moment(machine)}."


def _moment(machine: dict[str, Any]) -> str:
    return f"{machine['date'][:10]}, load before {machine['load_before']}"


def _setting(machine: dict[str, Any]) -> str:
    """Return what does not change between the parts of a run, up to the moment."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    gpu = f", {machine['gpu']}" if machine.get("gpu") else ""
    return (
        f"{machine['processor']}{gpu}, {machine['threads']} threads for each contender, "
        f"{machine['system']}, Python {machine['python']}, {versions}; {_blas(machine)}"
    )


def _blas(machine: dict[str, Any]) -> str:
    """Return which kernels NumPy's BLAS chose: on one processor their speeds differ twofold."""
    libraries = machine.get("blas", [])
    return "".join(
        f"NumPy's BLAS {blas['internal_api']} {blas['version']} with its kernels for "
        f"{blas['architecture']}; "
        for blas in libraries
    )


def _speed(machine: dict[str, Any]) -> str:
    gflops = machine["gflops"]
    return (
        f"{machine['machine']['processor']}, {machine['machine']['threads']} threads: "
        f"{gflops['float32']:.0f} GFLOP/s in float32, {gflops['float64']:.0f} in float64, "
        f"{machine['gigabytes_per_second']:.1f} GB/s, "
        f"{machine['microseconds_per_call']:.2f} µs for a call on one number."
    )


def write_report(backend: str, folder: Path) -> str:
    """Write benchmark.md and benchmark.svg beside a folder's results, and return the former."""
    results = read_results(folder)
    tables = named_tables(backend, results)
    parts = ["# Benchmark", "Made by `python benchmarks/run.py`; medians of samples in turn."]
    if "headline" in tables:
        parts += ["## In short", tables["headline"]]
        plot_steps(backend, results["steps"], folder / "benchmark.svg")
        parts += [f"![{PLOT}](benchmark.svg)"]
    if "ratios" in tables:
        parts += ["## Against code written by hand", tables["summary"], tables["ratios"]]
    for name, (title, _) in TABLES.items():
        if name in tables:
            parts += [f"## {title}", tables[name], f"On: {describe(results[name]['machine'])}"]
    if "scaling" in tables:
        parts += ["## Scaling", tables["scaling"]]
    text = "\n\n".join(parts) + "\n"
    (folder / "benchmark.md").write_text(text, encoding="utf-8")
    return text


def recorded_tables() -> dict[str, str]:
    """Return the tables of the committed results.

    The names of CuPy's begin with "cupy-"; with "avx512-" those of a quick run with other kernels
    of BLAS, whose files were moved to a folder of that name.
    """
    sources = (
        ("numpy", folder_of("numpy"), ""),
        ("cupy", folder_of("cupy"), "cupy-"),
        ("numpy", RESULTS / "avx512", "avx512-"),
    )
    return {
        prefix + name: table
        for backend, folder, prefix in sources
        for name, table in named_tables(backend, read_results(folder)).items()
    }
