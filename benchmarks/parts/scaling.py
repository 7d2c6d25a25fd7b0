"""How the time of an epoch grows with width, depth, batch and the number of examples.

Each series varies one of them; its slope in log-log scale over its last points, where it has
settled, is put beside the slope of the count of multiplications over the same points, which is what
paper says; the slope over the first points tells what small sizes cost beside their arithmetic.
"""

import math
import statistics
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from benchmarks.job import Job
from benchmarks.measure import field_of, quartiles, say

__all__ = ["SERIES", "measure", "multiplications", "slope"]

_POINTS = 4  # so many make a slope
_EXAMPLES = 2048


@dataclass(frozen=True)
class Series:
    """Jobs along one axis; `values` are what varies."""

    name: str
    values: tuple[int, ...]

    def job(self, value: int) -> Job:
        """Return the job at a value."""
        sizes: tuple[int, ...] = (784, 100, 10)
        batch, examples = 128, _EXAMPLES
        if self.name == "width of one hidden layer":
            sizes = (784, value, 10)
        elif self.name == "width of two hidden layers":
            sizes = (784, value, value, 10)
        elif self.name == "depth at width 256":
            sizes = (784, *(value * (256,)), 10)
        elif self.name == "batch":
            batch = value
        else:
            examples = value
        return Job(sizes, batch, examples=examples)


SERIES = (
    Series("width of one hidden layer", (16, 32, 64, 128, 256, 512, 1024, 2048)),
    Series("width of two hidden layers", (16, 32, 64, 128, 256, 512, 1024, 2048)),
    Series("depth at width 256", (1, 2, 4, 8, 16, 32)),
    Series("batch", (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)),
    Series("examples", (1024, 2048, 4096, 8192, 16384, 32768, 65536)),
)


def measure(backend: str, quick: bool, seconds: float) -> dict[str, Any]:
    """Return {"series": [{name, values, seconds, median, slopes …}]}."""
    series = SERIES[3:4] if quick else SERIES
    end = time.perf_counter() + seconds
    measured = []
    with field_of(backend, ["ours"]) as field:
        for place, each in enumerate(series):
            say(f"scaling: {each.name}")
            share = (end - time.perf_counter()) / (len(series) - place)
            seconds = _measure_series(field, each, share)
            medians = [quartiles(taken)[2] for taken in seconds]
            on_paper = [float(multiplications(each.job(value))) for value in each.values]
            measured.append(
                {
                    "name": each.name,
                    "values": each.values,
                    "seconds": seconds,
                    "median": medians,
                    "first_slope": slope(each.values[:_POINTS], medians[:_POINTS]),
                    "slope": slope(each.values[-_POINTS:], medians[-_POINTS:]),
                    "slope_on_paper": slope(each.values[-_POINTS:], on_paper[-_POINTS:]),
                }
            )
    return {"series": measured, "points_of_slopes": _POINTS}


def _measure_series(field: Any, series: Series, seconds: float) -> list[list[float]]:
    """Return the seconds of some epochs at each value."""
    taken = []
    for value in series.values:
        field.prepare(series.job(value))
        field.ask_all("start")
        taken.append(field.sample("time_epoch", seconds / len(series.values))["ours"])
    return taken


def multiplications(job: Job) -> int:
    """Return how many multiplications the products of an epoch take.

    Forwards and for each gradient with respect to weights: in x out for each example; for the
    gradient with respect to a layer's input as many, but for the first layer.
    """
    layers = [m * n for m, n in pairwise(job.sizes)]
    return job.examples * (3 * sum(layers) - layers[0])


def slope(x: tuple[int, ...], y: list[float]) -> float:
    """Return the slope of log y over log x by least squares."""
    points = [(math.log(a), math.log(b)) for a, b in zip(x, y, strict=True)]
    return statistics.linear_regression(*zip(*points, strict=True)).slope
