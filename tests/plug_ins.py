"""A package of somebody else's that brings a backend, as an installer would leave it."""

import os
from pathlib import Path


def write_plug_in(folder: Path, name: str, source: str, value: str) -> dict[str, str]:
    """Write the module `name` and its entry point, and return an environment that has it.

    `value` is what the entry point names: "module:Class".
    """
    (folder / f"{name}.py").write_text(source, encoding="utf-8")
    metadata = folder / f"{name}_backend-1.2.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}-backend\nVersion: 1.2\n"
    )
    (metadata / "entry_points.txt").write_text(f"[pluggable_mlp.backends]\n{name} = {value}\n")
    path = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path)}
