"""The recipes: settings that `train --config` takes, and results that come out again."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

RECIPES = Path(__file__).parent.parent / "examples" / "recipes"
ALL = sorted(path.stem for path in RECIPES.glob("*.toml"))


@pytest.mark.parametrize("name", ALL)
def test_a_recipe_has_results_over_three_seeds(name):
    results = json.loads((RECIPES / f"{name}.results.json").read_text("utf-8"))
    assert results["seeds"] == [0, 1, 2]
    for measure, values in results["test"].items():
        assert len(values) == 3
        assert results["mean"][measure] == pytest.approx(sum(values) / 3)
    assert f"`{name}.toml`" in (RECIPES / "README.md").read_text("utf-8")
    assert "data" in tomllib.loads((RECIPES / f"{name}.toml").read_text("utf-8"))


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "measure", "tolerance"), [("breast-cancer", "accuracy", 0.03), ("diabetes", "r2", 0.1)]
)
def test_a_recipe_of_a_table_reaches_what_it_says(tmp_path, name, measure, tolerance):
    """Within what another machine's rounding may change."""
    pytest.importorskip("sklearn")
    program = [sys.executable, str(RECIPES / "tables.py")]
    subprocess.run(program, check=True, cwd=tmp_path)
    train = ["train", "--config", str(RECIPES / f"{name}.toml"), "--seed", "1", "--output", "run"]
    program = [sys.executable, "-m", "pluggable_mlp", *train, "--quiet"]
    subprocess.run(program, check=True, cwd=tmp_path, capture_output=True)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text("utf-8"))
    recorded = json.loads((RECIPES / f"{name}.results.json").read_text("utf-8"))
    assert summary[f"test_{measure}"] == pytest.approx(recorded["test"][measure][1], abs=tolerance)
