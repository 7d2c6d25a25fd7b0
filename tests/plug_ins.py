"""A third-party package with a backend, as an installer would leave it."""

import os
from pathlib import Path


def write_plug_in(folder: Path, entry_point: str, **modules: str) -> dict[str, str]:
    """Write modules by their names, and an entry point; return an environment that has them.

    The entry point is a line such as "abacus = abacus:AbacusBackend".
    """
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
    metadata = folder / "abacus_backend-1.2.dist-info"
    metadata.mkdir()
    header = "Metadata-Version: 2.1\nName: abacus-backend\nVersion: 1.2\n"
    (metadata / "METADATA").write_text(header)
    (metadata / "entry_points.txt").write_text(f"[pluggable_mlp.backends]\n{entry_point}\n")
    path = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path)}
