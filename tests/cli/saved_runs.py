"""Folders of runs: made, and what they say."""

import json
from pathlib import Path
from typing import Any

from pluggable_mlp.backends import get_backend
from pluggable_mlp.options import Options
from pluggable_mlp.runs.folder import RunFolder
from pluggable_mlp.runs.run import Run

_ELSEWHERE = ("seconds", "examples_per_second", "versions", "backend", "device", "processes")

FILES = {
    "certificate.json", "checkpoints", "config.json", "metrics.jsonl", "model.safetensors",
    "summary.json",
}  # fmt: skip
"""What is in the folder of a run that ended."""
FIGURES = {
    "images": ["learning-curves", "first-layer", "confusion-matrix"],
    "numbers": ["learning-curves", "first-layer", "residuals"],
    "labels": ["learning-curves", "first-layer"],
}
"""Those that `plot` draws of each of the runs in the fixture `folders`."""


def content(folder: Path, name: str) -> Any:
    """Return what a file of JSON holds."""
    return json.loads((folder / name).read_text())


def told(folder: Path) -> tuple[Any, ...]:
    """Return what a run says, without its times and its machine: all bits of it."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    summary = content(folder, "summary.json")
    return (
        [{k: v for k, v in line.items() if k != "seconds"} for line in lines],
        {k: v for k, v in summary.items() if k not in _ELSEWHERE},
        [content(folder, "certificate.json")[name] for name in ("epochs", "records")],
        (folder / "model.safetensors").read_bytes(),
    )


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def assert_complete(folder: Path, command) -> None:
    """Every file is there, every epoch has its line, and the model measures what they say."""
    assert names(folder) == FILES
    history = lines(folder)
    assert [line["epoch"] for line in history] == [*range(1, len(history) + 1)]
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["epochs"] == len(history)
    assert json.loads(command("evaluate", "--json", folder).out)["loss"] == summary["test_loss"]


def trained(folder, **settings):
    """Train as the command does, and save the run."""
    run = Run.of(Options(**settings), get_backend("numpy"))
    with RunFolder(folder, run):
        list(run.train())
    return folder
