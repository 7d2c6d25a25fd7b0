"""What the folder of a run says."""

import json
from pathlib import Path
from typing import Any

_ELSEWHERE = ("seconds", "examples_per_second", "versions", "backend", "device", "processes")


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
