"""From the results of a folder to Markdown and the plot; and into the documents, where asked.

    python benchmarks/report.py

writes the tables again from the committed results, and puts them into README.md and docs/*.md
between `<!-- benchmarks: NAME -->` and `<!-- /benchmarks -->`.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # to find the package benchmarks

from benchmarks.paper import products_table, roofline_table, scaling_table
from benchmarks.plot import plot_steps
from benchmarks.tables import TABLES, headline

__all__ = ["RESULTS", "blocks", "folder_of", "insert_blocks", "read_results", "write_report"]

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
_BLOCK = re.compile(r"(<!-- benchmarks: ([\w-]+) -->\n).*?(<!-- /benchmarks -->)", re.DOTALL)


def folder_of(backend: str, quick: bool) -> Path:
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


def blocks(backend: str, results: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return every table by its name: those of the parts, `headline`, `machine`, …"""
    tables = {name: TABLES[name][1](backend, results[name]) for name in TABLES if name in results}
    steps = results.get("steps")
    if steps:
        tables["headline"] = headline(backend, steps, results.get("fit"))
        tables["machine"] = describe(steps["machine"])
    if "scaling" in results:
        tables["scaling"] = scaling_table(results["scaling"])
    if "roofline" in results:
        machine = results["roofline"]
        tables["machine-speed"] = _speed(machine)
        tables["products"] = products_table(machine)
        tables["roofline"] = roofline_table(machine, steps)
    return tables


def describe(machine: dict[str, Any]) -> str:
    """Return a sentence on the machine of a result."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    gpu = f", {machine['gpu']}" if machine.get("gpu") else ""
    return (
        f"{machine['processor']}{gpu}, {machine['threads']} threads for each contender, "
        f"{machine['system']}, Python {machine['python']}, {versions}; {machine['date'][:10]}, "
        f"load before {machine['load_before']}."
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
    tables = blocks(backend, results)
    parts = ["# Benchmark", "Made by `python benchmarks/run.py`; medians of samples in turn."]
    if "headline" in tables:
        parts += ["## In short", tables["headline"]]
        plot_steps(backend, results["steps"], folder / "benchmark.svg")
        parts += ["![Steps](benchmark.svg)"]
    for name, (title, _) in TABLES.items():
        if name in tables:
            parts += [f"## {title}", tables[name], f"On: {describe(results[name]['machine'])}"]
    if "scaling" in tables:
        parts += ["## Scaling", tables["scaling"]]
    text = "\n\n".join(parts) + "\n"
    (folder / "benchmark.md").write_text(text, encoding="utf-8")
    return text


def insert_blocks(text: str, tables: dict[str, str]) -> str:
    """Return a document with each block that there is a table for replaced by it."""

    def replaced(found: re.Match[str]) -> str:
        begin, name, end = found.groups()
        return f"{begin}{tables[name]}\n{end}" if name in tables else found.group()

    return _BLOCK.sub(replaced, text)


def main() -> None:
    """Write the tables of the committed results, and put them into the documents."""
    tables: dict[str, str] = {}
    for backend in ("cupy", "numpy"):
        folder = folder_of(backend, quick=False)
        results = read_results(folder)
        if results:
            write_report(backend, folder)
        prefix = "" if backend == "numpy" else f"{backend}-"
        tables.update({prefix + name: t for name, t in blocks(backend, results).items()})
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = path.read_text(encoding="utf-8")
        path.write_text(insert_blocks(text, tables), encoding="utf-8")


if __name__ == "__main__":
    main()
