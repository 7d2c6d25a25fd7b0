"""What paper says, beside what was measured: the roofline of a step, and how time grows.

A roofline (Williams, Waterman, Patterson, "Roofline", CACM 52, 2009): a product takes at least
its operations over the peak speed, and at least its bytes over the bandwidth of memory.
"""

import statistics
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from benchmarks.job import HEADLINES
from benchmarks.text import markdown, number

__all__ = ["products_table", "roofline_table", "scaling_table"]

BYTES = 4  # of a float32 number
# NVIDIA's data sheet of the H100 SXM: float32 outside of the tensor cores, HBM3.
H100 = {"gflops": {"float32": 67_000.0}, "gigabytes_per_second": 3_350.0}


@dataclass(frozen=True)
class Product:
    """A matrix product (m, k) (k, n) of a step."""

    name: str
    m: int
    k: int
    n: int

    @property
    def operations(self) -> int:
        """Multiplications and additions."""
        return 2 * self.m * self.k * self.n

    @property
    def bytes(self) -> int:
        """Each array once, read or written."""
        return BYTES * (self.m * self.k + self.k * self.n + self.m * self.n)

    @property
    def intensity(self) -> float:
        """Operations a byte."""
        return self.operations / self.bytes

    def seconds(self, machine: dict[str, Any]) -> tuple[float, str]:
        """Return the least time on a machine, and what limits it."""
        computing = self.operations / (1e9 * machine["gflops"]["float32"])
        moving = self.bytes / (1e9 * machine["gigabytes_per_second"])
        return (computing, "arithmetic") if computing >= moving else (moving, "memory")


def products(network: str, batch: int) -> list[Product]:
    """Return the products of a training step."""
    sizes = list(map(int, network.split("-")))
    forward, backward = [], []
    for layer, (m, n) in enumerate(pairwise(sizes)):
        x = "x" if layer == 0 else f"h{layer}"
        forward.append(Product(f"{x} W{layer + 1}", batch, m, n))
        backward.append(Product(f"{x}ᵀ d{layer + 1}", m, batch, n))
        if layer:
            backward.append(Product(f"d{layer + 1} W{layer + 1}ᵀ", batch, n, m))
    return forward + backward


def products_table(machine: dict[str, Any]) -> str:
    """Return every product of the headline's steps: its intensity, its least time, its limit."""
    rows = []
    for network, batch in HEADLINES:
        for product in products(network, batch):
            row = [f"{batch}, {network}", product.name]
            row += [f"{product.m} x {product.k} x {product.n}", f"{product.intensity:.3g}"]
            for each in (machine, H100):
                seconds, limit = product.seconds(each)
                row += [number(1e6 * seconds), limit]
            rows.append(row)
    header = ["batch, network", "product", "m x k x n", "operations a byte"]
    header += ["here, least µs", "limited by", "H100, least µs", "limited by"]
    return markdown(header, rows)


def roofline_table(machine: dict[str, Any], steps: dict[str, Any] | None) -> str:
    """Return the sum over a step's products, beside what the products and a step took."""
    measured = {
        (cell["network"], cell["batch"]): cell["seconds_per_step"]
        for cell in (steps or {"cells": []})["cells"]
        if cell["optimizer"] == "sgd"
    }
    rows = []
    for network, batch in HEADLINES:
        taken = measured.get((network, batch), {})
        of_paper = [
            sum(product.seconds(each)[0] for product in products(network, batch))
            for each in (machine, H100)
        ]
        found = [
            number(1e6 * statistics.median(taken[name])) if name in taken else ""
            for name in ("limit", "ours")
        ]
        here, h100 = (number(1e6 * seconds) for seconds in of_paper)
        rows.append([f"{batch}, {network}", here, *found, h100])
    header = ["batch, network", "roofline, µs", "products measured, µs", "whole step, µs"]
    return markdown([*header, "H100 roofline, µs (not measured)"], rows)


def scaling_table(result: dict[str, Any]) -> str:
    """Return the slopes, measured and on paper, and the measured times."""
    rows = []
    for series in result["series"]:
        times = (
            f"{value}: {1e3 * seconds:.3g}"
            for value, seconds in zip(series["values"], series["median"], strict=True)
        )
        rows.append(
            [
                series["name"],
                f"{series['first_slope']:.2f}",
                f"{series['slope']:.2f}",
                f"{series['slope_on_paper']:.2f}",
                ", ".join(times),
            ]
        )
    header = ["what grows", "slope of the first points", "of the last points"]
    header += ["of the operations there", "milliseconds per epoch"]
    return markdown(header, rows)
