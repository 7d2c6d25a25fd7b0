"""What a comparison found, as data, as a dictionary for JSON, and as text."""

import math
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Agreement", "Difference", "Hash", "Report", "format_report"]


@dataclass(frozen=True)
class Agreement:
    """How far one tensor of one backend is from the reference's, in the worst step.

    Attributes
    ----------
    tensor, backend : str
        "loss" or "layer 1 dW", counting the layers that have parameters from 1.
    ulps : float
        The largest difference in ulps of the reference's element, or of the reference's root
        mean square where the element is smaller.
    part_of_bound : float
        The largest difference as a part of what rounding can make it: at most 1 if all is well.
    step : int
        The step, from 1, with this part of the bound.
    """

    tensor: str
    backend: str
    ulps: float
    part_of_bound: float
    step: int


@dataclass(frozen=True)
class Hash:
    """SHA-256 of all bytes of one tensor on one backend, over all steps."""

    tensor: str
    backend: str
    sha256: str


@dataclass(frozen=True)
class Difference:
    """The first difference of one backend from the reference, both values in hexadecimal."""

    step: int
    tensor: str
    reference: str
    backend: str
    index: tuple[int, ...]
    expected: str
    found: str


@dataclass(frozen=True)
class Report:
    """What `compare` returns: the settings, and what was found under them.

    Attributes
    ----------
    backends : tuple of str
        The reference first.
    dtype, arithmetic, batch_size, steps, examples, seed
        As they were asked for; `examples` is the size of the data set.
    agreements : tuple of Agreement
        Under the native arithmetic: one a tensor and backend.
    hashes : tuple of Hash
        Under any other: one a tensor and backend.
    differences : tuple of Difference
        Under any other: one for each backend whose bits are not the reference's.
    """

    backends: tuple[str, ...]
    dtype: str
    arithmetic: str
    batch_size: int
    steps: int
    examples: int
    seed: int
    agreements: tuple[Agreement, ...] = ()
    hashes: tuple[Hash, ...] = ()
    differences: tuple[Difference, ...] = ()

    @property
    def passes(self) -> bool:
        """Whether all is within its bound, or the same bits."""
        return not self.differences and all(one.part_of_bound <= 1.0 for one in self.agreements)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as dictionaries, lists, strings and finite numbers: None if infinite."""
        found = {"passes": self.passes, **asdict(self)}
        for one in found["agreements"]:
            for name in ("ulps", "part_of_bound"):
                one[name] = one[name] if math.isfinite(one[name]) else None
        return found


def format_report(report: Report) -> str:
    """Return the report as lines of text, the verdict last."""
    steps = "1 step" if report.steps == 1 else f"{report.steps} steps"
    head = (
        f"{report.arithmetic}, {report.dtype}: {steps} of up to {report.batch_size} of "
        f"{report.examples} examples, seed {report.seed}"
    )
    body = _hash_lines(report) if report.hashes else _agreement_lines(report)
    return "\n".join([head, "", *body, "", *_verdict(report)])


def _agreement_lines(report: Report) -> list[str]:
    """Return a row a tensor, with two columns a backend: ulps, and the part of the bound."""
    cells = {(one.tensor, one.backend): one for one in report.agreements}
    tensors = list(dict.fromkeys(one.tensor for one in report.agreements))
    others = report.backends[1:]
    width = max(19, *(len(name) + 2 for name in others))
    left = max(len(tensor) for tensor in tensors)
    lines = [
        " " * left + "".join(f"{name:>{width}}" for name in others),
        " " * left + f"{'ulps':>{width - 10}}{'of bound':>10}" * len(others),
    ]
    for tensor in tensors:
        row = [cells[tensor, name] for name in others]
        numbers = (f"{one.ulps:>{width - 10}.1f}{one.part_of_bound:>10.1e}" for one in row)
        lines.append(f"{tensor:<{left}}" + "".join(numbers))
    return lines


def _hash_lines(report: Report) -> list[str]:
    """Return a line a tensor and backend."""
    left = max(len(one.tensor) for one in report.hashes)
    middle = max(len(name) for name in report.backends)
    return [f"{one.tensor:<{left}}  {one.backend:<{middle}}  {one.sha256}" for one in report.hashes]


def _verdict(report: Report) -> list[str]:
    """Return what it comes to: one line, or one for each backend that fails."""
    reference, others = report.backends[0], ", ".join(report.backends[1:])
    if report.passes:
        if report.hashes:
            return [f"same bits: {reference}, {others}"]
        return [f"within the bound of rounding errors around {reference}: {others}"]
    beyond = [
        f"beyond the bound: {one.backend}, {one.tensor}, step {one.step}: "
        f"{one.part_of_bound:.3g} times what rounding can make it differ from {reference}"
        for one in report.agreements
        if one.part_of_bound > 1.0
    ]
    return beyond + [
        f"not the same bits: {one.backend} differs from {one.reference} first in step {one.step}, "
        f"{one.tensor}, element {list(one.index)}: {one.reference} {one.expected}, "
        f"{one.backend} {one.found}"
        for one in report.differences
    ]
