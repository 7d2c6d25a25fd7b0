"""Train a recipe with three seeds, and write what it reached beside it.

python examples/recipes/run.py examples/recipes/breast-cancer.toml
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

SEEDS = (0, 1, 2)
KEPT = ("accuracy", "macro_f1", "r2", "mean_absolute_error", "root_mean_squared_error")


def trained(recipe: Path, seed: int, folder: Path) -> dict:
    """Return the summary of one run."""
    command = [sys.executable, "-m", "pluggable_mlp", "train", "--config", str(recipe)]
    command += ["--seed", str(seed), "--output", str(folder), "--quiet"]
    subprocess.run(command, check=True)
    return json.loads((folder / "summary.json").read_text("utf-8"))


def results(summaries: list[dict]) -> dict:
    """Return the measures on the test part by seed, their mean, and what made them."""
    measures = [name for name in KEPT if f"test_{name}" in summaries[0]]
    by_seed = {name: [one[f"test_{name}"] for one in summaries] for name in measures}
    return {
        "seeds": [one["seed"] for one in summaries],
        "test": by_seed,
        "mean": {name: sum(values) / len(values) for name, values in by_seed.items()},
        "epochs": [one["epochs"] for one in summaries],
        "parameters_sha256": [one["parameters_sha256"] for one in summaries],
        "versions": summaries[0]["versions"],
        "backend": summaries[0]["backend"],
    }


if __name__ == "__main__":
    for recipe in map(Path, sys.argv[1:]):
        with tempfile.TemporaryDirectory() as folder:
            summaries = [trained(recipe, seed, Path(folder, str(seed))) for seed in SEEDS]
        content = json.dumps(results(summaries), indent=2)
        recipe.with_suffix(".results.json").write_text(content + "\n", "utf-8")
