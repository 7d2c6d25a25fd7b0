"""The table of scores: made of the lines that `scores.py` writes, a result each."""

import json
import statistics
from pathlib import Path
from typing import Any

__all__ = ["mean_scores", "results_of", "score_table"]

TIMED = "adult"


def results_of(path: Path) -> list[dict[str, Any]]:
    """Return the results in a file; none if it is not there."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def score_table(results: list[dict[str, Any]], *, sets: bool = True) -> str:
    """Return as Markdown the mean of each model on each set, and its standard error.

    Where there are fewer seeds than elsewhere, their number is in parentheses.  Below are the means
    of the models that have all sets, and the median of the seconds that `fit` took.  Without `sets`
    these are all.
    """
    models, data = (list(dict.fromkeys(one[key] for one in results)) for key in ("model", "data"))
    pairs = [(name, model) for name in data for model in models]
    scores = {pair: _values(results, "score", *pair) for pair in pairs}
    seeds = max(map(len, scores.values()), default=0)
    rows = []
    for name in data if sets else ():
        rows.append([name, *(_cell(scores[name, model], seeds) for model in models)])
        errors = [_values(results, "rmse", name, model) for model in models]
        if any(errors):
            rows.append([f"{name}, RMSE", *(_cell(values, seeds, ".4g") for values in errors)])
    means = [[scores[name, model] for name in data] for model in models]
    rows.append(["mean", *(_mean(values) for values in means)])
    seconds = [_values(results, "seconds", TIMED, model) for model in models]
    if any(seconds):
        rows.append(
            [
                f"{TIMED}, s",
                *(f"{statistics.median(times):.1f}" if times else "" for times in seconds),
            ]
        )
    lines = [["data", *models], ["---"] * (len(models) + 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def mean_scores(results: list[dict[str, Any]], models: list[str]) -> str:
    """Return the mean score of each of these models over all sets."""
    data = dict.fromkeys(result["data"] for result in results)
    scores = [[_values(results, "score", name, model) for name in data] for model in models]
    return ", ".join(_mean(values, ".3f") for values in scores)


def _values(results: list[dict[str, Any]], what: str, data: str, model: str) -> list[float]:
    return [of[what] for of in results if (of["data"], of["model"]) == (data, model) and what in of]


def _cell(values: list[float], seeds: int, form: str = ".4f") -> str:
    if not values:
        return ""
    count = f" ({len(values)})" if len(values) < seeds else ""
    if len(values) == 1:
        return f"{values[0]:{form}}{count}"
    error = statistics.stdev(values) / len(values) ** 0.5
    return f"{statistics.mean(values):{form}} ± {error:.2g}{count}"


def _mean(scores: list[list[float]], form: str = ".4f") -> str:
    return f"{statistics.mean(map(statistics.mean, scores)):{form}}" if all(scores) else ""
