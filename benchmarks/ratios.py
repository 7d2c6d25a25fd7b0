"""Ours against the same library by hand, and best against best: which contenders, which ratio.

A ratio is our time over theirs: 1 is a tie, less is faster.  Where a library is used by hand in
several ways (a compiled step or a loop over the epoch), the one that is faster in a cell counts.
"""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.measure import ratio
from benchmarks.text import markdown

__all__ = [
    "LIBRARIES",
    "OPTIMIZERS",
    "Comparison",
    "best_against_best",
    "by_hand",
    "estimators_sentence",
    "fastest",
    "numbers_table",
    "ratios_table",
    "summary_table",
]

OPTIMIZERS = {"sgd": "SGD", "adam": "Adam"}
LIBRARIES = {"numpy": "NumPy", "torch": "PyTorch", "jax": "JAX", "cupy": "CuPy"}
BEST = "fastest of ours, of all peers"
NUMBERS = {
    "steps, SGD": "a training step with SGD on our fastest backend, over the fastest by hand",
    "steps, Adam": "the same with Adam",
    "predictions": "a batch of predictions, likewise",
}

Samples = dict[str, list[float]]


@dataclass(frozen=True)
class Comparison:
    """Two contenders by their names, and the median of our time over theirs."""

    ours: str
    theirs: str
    ratio: float


def fastest(backend: str, samples: Samples, kind: str, library: str | None = None) -> str:
    """Return the contender of a kind with the least median; "" if there is none.

    With a library, of those that use it.
    """
    names = [
        name
        for name in samples
        if CONTENDERS[backend][name].kind == kind
        and library in (None, CONTENDERS[backend][name].library)
    ]
    return min(names, key=lambda name: statistics.median(samples[name]), default="")


def by_hand(backend: str, samples: Samples, library: str | None) -> Comparison | None:
    """Return ours on a library against the fastest way to use it by hand, if both were measured.

    Of None: the fastest of our backends against the fastest of all peers.
    """
    ours, theirs = (fastest(backend, samples, kind, library) for kind in ("ours", "peer"))
    if not ours or not theirs:
        return None
    return Comparison(ours, theirs, ratio(samples[ours], samples[theirs]))


def best_against_best(backend: str, samples: Samples) -> Comparison | None:
    """Return the fastest of our backends against the fastest of all peers."""
    return by_hand(backend, samples, None)


def summary_table(backend: str, results: dict[str, dict[str, Any]]) -> str:
    """Return the ratios in short: the median over the cells, the least and the largest."""
    found = _ratios(backend, results)
    columns = list(dict.fromkeys(what for what, _, _ in _times(results)))
    rows = [
        [name, *(_range(of.get(what, [])) for what in columns)]
        for name, of in sorted(found.items(), key=lambda item: item[0] == BEST)
    ]
    return markdown(["ours / by hand", *columns], rows)


def numbers_table(backend: str, results: dict[str, dict[str, Any]]) -> str:
    """Return six figures, of five parts that must be measured: what is compared, and the ratio."""
    found = _ratios(backend, results)[BEST]
    rows = [[what, _range(found[column])] for column, what in NUMBERS.items()]
    of_fits, _ = _of_estimators(results["estimators"])
    prices = [
        case["ratio"]
        for case in results["reproducible_price"]["cases"]
        if case["backend"] == "numpy" and "ratio" in case
    ]
    start = {name: statistics.median(all_) for name, all_ in results["startup"]["seconds"].items()}
    imports = start["import pluggable_mlp"] / start["import sklearn.neural_network"]
    rows += [
        ["`fit` of our estimators on NumPy, over scikit-learn's", _range([1 / r for r in of_fits])],
        ["a step with the same bits everywhere, over a native one, on NumPy", _range(prices)],
        ["`import pluggable_mlp`, over `import sklearn.neural_network`", f"{imports:.2f}"],
    ]
    return markdown(["time of", "ratio"], rows)


def _ratios(backend: str, results: dict[str, dict[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """Return the ratios of all cells, by what is compared and by the column."""
    found: dict[str, dict[str, list[float]]] = {}
    for what, _, samples in _times(results):
        for name, compared in _comparisons(backend, samples).items():
            found.setdefault(name, {}).setdefault(what, []).append(compared.ratio)
    return found


def ratios_table(backend: str, results: dict[str, dict[str, Any]]) -> str:
    """Return the ratios of every cell, and which contenders they are of."""
    found = [
        (what, cell, _comparisons(backend, samples)) for what, cell, samples in _times(results)
    ]
    present = {name for *_, compared in found for name in compared}
    names = [name for name in (*LIBRARIES.values(), BEST) if name in present]
    rows = [
        [
            what,
            cell["network"],
            str(cell["batch"]),
            *(_of(backend, compared.get(name), name == BEST) for name in names),
        ]
        for what, cell, compared in found
    ]
    return markdown(["", "network", "batch", *names], rows)


def estimators_sentence(result: dict[str, Any]) -> str:
    """Return how much faster than scikit-learn's the estimators are: the median over the data."""
    numpy, best = _of_estimators(result)
    others = {name for case in result["cases"] for name in case["seconds"]} - {"theirs", "ours"}
    on_the_fastest = (
        f", and {_range(best)} times as long as ours on the fastest backend" if others else ""
    )
    return (
        f"`fit` of the estimators, at equal settings on {len(numpy)} data sets: scikit-learn takes "
        f"{_range(numpy)} times as long as ours on NumPy{on_the_fastest} "
        "(median; least to largest)."
    )


def _of_estimators(result: dict[str, Any]) -> tuple[list[float], list[float]]:
    """Return scikit-learn's time over ours for each data set: on NumPy, and on our fastest."""
    numpy, best = [], []
    for case in result["cases"]:
        seconds = case["seconds"]
        ours = min(
            (name for name in seconds if name != "theirs"),
            key=lambda name: statistics.median(seconds[name]),
        )
        numpy.append(ratio(seconds["theirs"], seconds["ours"]))
        best.append(ratio(seconds["theirs"], seconds[ours]))
    return numpy, best


def _times(results: dict[str, dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any], Samples]]:
    """Yield (what, cell, samples) of all steps, predictions and fits that were measured."""
    for cell in results.get("steps", {}).get("cells", []):
        yield f"steps, {OPTIMIZERS[cell['optimizer']]}", cell, cell["seconds_per_step"]
    for cell in results.get("inference", {}).get("cells", []):
        yield "predictions", cell, cell["seconds_per_batch"]
    for case in results.get("fit", {}).get("cases", []):
        yield f"whole fit, {OPTIMIZERS[case['optimizer']]}", case, case["seconds"]


def _comparisons(backend: str, samples: Samples) -> dict[str, Comparison]:
    """Return every comparison that can be made, by its title."""
    titles: dict[str | None, str] = {**LIBRARIES, None: BEST}
    found = {title: by_hand(backend, samples, library) for library, title in titles.items()}
    return {title: compared for title, compared in found.items() if compared}


def _range(ratios: list[float]) -> str:
    if not ratios:
        return ""
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _of(backend: str, compared: Comparison | None, both: bool) -> str:
    if compared is None:
        return ""
    ours, theirs = (CONTENDERS[backend][name].label for name in (compared.ours, compared.theirs))
    return (
        f"{compared.ratio:.2f} ({ours} / {theirs})" if both else f"{compared.ratio:.2f} ({theirs})"
    )
