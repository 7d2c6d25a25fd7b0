"""The result of a comparison: as data, as a dictionary for JSON, and as text."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import attrgetter

from pluggable_mlp.fields import pluralize

LAYER_BY_LAYER, WHOLE_STEP = "layer by layer", "whole step"


@dataclass(frozen=True)
class Agreement:
    """How far one tensor of one backend is from the reference's, in the worst step.

    Attributes
    ----------
    check : {"layer by layer", "whole step"}
        Whether each layer, the loss and the optimizer's rule were given common values, or a
        step was taken as a whole from common parameters.
    dtype : {"float32", "float64"}
        The dtype of the computations that were compared.
    tensor, backend : str
        "loss", "layer 1 dW" or "activation 1 y", counting the layers that have parameters from 1.
    ulps : float
        The largest difference in ulps of the reference's element, or of the reference's root
        mean square if the element is smaller.
    part_of_bound : float
        The largest difference as a part of the bound: at most 1 if all is well.  The bound on
        whole steps is the worst case of rounding; that on layers holds except with the
        probability `Report.improbability`.
    part_of_worst_case : float or None
        The largest difference as a part of the worst case of rounding; None if it is within
        the probable bound.
    step : int
        The step, from 1, with this part of the bound.
    smallest_fault, blind_part : float
        How sharp the check was, see `Sharpness`, in the step in which it was sharpest.
    unchecked_part : float
        The share of the elements, over all steps, that could not be checked: rounding may take them
        out of the range of the dtype.
    """

    check: str
    dtype: str
    tensor: str
    backend: str
    ulps: float
    part_of_bound: float
    part_of_worst_case: float | None
    step: int
    smallest_fault: float
    blind_part: float
    unchecked_part: float


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
    """The result of `compare`: the settings, and what was found under them.

    Attributes
    ----------
    backends : tuple of str
        The reference first.
    dtype, arithmetic, batch_size, steps, examples, seed
        As requested; `examples` is the size of the data set.
    agreements : tuple of Agreement
        Under native arithmetic: one per check, tensor and backend.
    improbability : float
        Under native arithmetic: an upper limit on the probability with which backends whose
        roundings have mean zero exceed any of the bounds on layers.
    hashes : tuple of Hash
        Under any other arithmetic: one per tensor and backend.
    differences : tuple of Difference
        Under any other arithmetic: one for each backend whose bits are not the reference's.

    See Also
    --------
    compare

    Examples
    --------
    >>> from pluggable_mlp import MLP, compare, get_backend, load_dataset
    >>> data, numpy = load_dataset("digits"), get_backend("numpy")
    >>> report = compare(
    ...     [numpy, numpy], MLP([64, 8, 10]), *data.train, scale=data.scale, steps=1,
    ...     arithmetic="reproducible",
    ... )
    >>> report.differences
    ()
    """

    backends: tuple[str, ...]
    dtype: str
    arithmetic: str
    batch_size: int
    steps: int
    examples: int
    seed: int
    agreements: tuple[Agreement, ...] = ()
    improbability: float = 0.0
    hashes: tuple[Hash, ...] = ()
    differences: tuple[Difference, ...] = ()

    @property
    def passes(self) -> bool:
        """Whether all results are within their bounds, or have the same bits."""
        return not self.differences and all(x.part_of_bound <= 1.0 for x in self.agreements)

    @property
    def unchecked(self) -> tuple[Agreement, ...]:
        """The agreements with elements that could not be checked in some step."""
        return tuple(x for x in self.agreements if x.unchecked_part > 0.0)

    def to_dict(self) -> dict[str, object]:
        """Return all of it as dictionaries, lists, strings and finite numbers: None if infinite."""
        report = {"passes": self.passes, **asdict(self)}
        report["agreements"] = [
            {name: _finite(value) for name, value in agreement.items()}
            for agreement in report["agreements"]
        ]
        return report


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def format_report(report: Report) -> str:
    """Return the report as lines of text, the verdict last.

    Parameters
    ----------
    report : Report
        From `compare`.

    Returns
    -------
    str

    See Also
    --------
    compare

    Examples
    --------
    >>> from pluggable_mlp import MLP, compare, format_report, get_backend, load_dataset
    >>> data, numpy = load_dataset("digits"), get_backend("numpy")
    >>> report = compare(
    ...     [numpy, numpy], MLP([64, 8, 10]), *data.train, scale=data.scale, steps=1,
    ...     arithmetic="reproducible",
    ... )
    >>> "same bits" in format_report(report)
    True
    """
    steps = pluralize(report.steps, "step")
    head = (
        f"{report.arithmetic}, {report.dtype}: {steps} of up to {report.batch_size} of "
        f"{pluralize(report.examples, 'example')}, seed {report.seed}"
    )
    body = _hash_lines(report) if report.hashes else _agreement_lines(report)
    return "\n".join([head, "", *body, "", *_verdict(report)])


def _checks(report: Report) -> Iterable[tuple[str, list[Agreement]]]:
    """Yield each check with its dtype, as text, and what it found."""
    for names, agreements in groupby(report.agreements, attrgetter("check", "dtype")):
        yield ", ".join(names), list(agreements)


def _agreement_lines(report: Report) -> list[str]:
    """Return a table per check: a row per tensor and three columns per backend."""
    backends = report.backends[1:]
    left = max(len(x.tensor) for x in report.agreements) + 1
    width = max(29, *(len(name) + 2 for name in backends))
    titles = f"{'ulps':>{width - 20}}{'of bound':>10}{'sees':>10}"
    lines: list[str] = []
    for check, agreements in _checks(report):
        lines += ["", check] if lines else [check]
        lines.append(" " * left + "".join(f"{name:>{width}}" for name in backends))
        lines.append(" " * left + titles * len(backends))
        cells = {(x.tensor, x.backend): x for x in agreements}
        for tensor in dict.fromkeys(x.tensor for x in agreements):
            row = (_cell(cells.get((tensor, name)), width) for name in backends)
            lines.append(f"{tensor:<{left}}" + "".join(row))
    return lines


def _cell(x: Agreement | None, width: int) -> str:
    """Return the three numbers of an agreement, a dash for a missing one."""
    if x is None:
        return f"{'-':>{width}}"
    sees = "blind" if x.blind_part >= 0.5 else f"{x.smallest_fault:.1e}"
    ulps = f"{x.ulps:.1f}" if x.ulps < 1e6 else f"{x.ulps:.1e}"
    return f"{ulps:>{width - 20}}{x.part_of_bound:>10.1e}{sees:>10}"


def _hash_lines(report: Report) -> list[str]:
    """Return a line per tensor and backend."""
    left = max(len(x.tensor) for x in report.hashes)
    middle = max(map(len, report.backends))
    return [f"{x.tensor:<{left}}  {x.backend:<{middle}}  {x.sha256}" for x in report.hashes]


def _verdict(report: Report) -> list[str]:
    """Return the verdict: what was not checked, what fails, and whether anything does."""
    reference, backends = report.backends[0], ", ".join(report.backends[1:])
    if report.hashes:
        return _different_bits(report) or [f"same bits: {reference}, {backends}"]
    remarks = [
        f"{LAYER_BY_LAYER}: roundings of mean zero exceed a bound with a probability of at most "
        f"{report.improbability:.1e}"
    ]
    remarks += [
        f"{check}: not checked: up to {last.unchecked_part:.2%} of a tensor ({last.tensor}), where "
        "rounding could take numbers out of the range of their dtype, or divisors to 0"
        for check, agreements in _checks(report)
        if (last := max(agreements, key=attrgetter("unchecked_part"))).unchecked_part > 0.0
    ]
    if any(x.blind_part >= 0.5 for x in report.agreements):
        remarks.append(
            "blind: rounding could explain faults as large as the values themselves; the bounds of "
            "a whole step grow from layer to layer"
        )
    improbable = "; improbable, but within the worst case"
    beyond = [
        f"beyond the bound: {x.backend}, {x.tensor}, {x.check} in {x.dtype}, step {x.step}: "
        f"{x.part_of_bound:.3g} times what rounding can make it differ from {reference}"
        + (improbable if x.part_of_worst_case is not None and x.part_of_worst_case <= 1.0 else "")
        for x in report.agreements
        if x.part_of_bound > 1.0
    ]
    within = [f"within the bounds of rounding errors around {reference}: {backends}"]
    return [*remarks, "", *(beyond or within)]


def _different_bits(report: Report) -> list[str]:
    """Return a line for each backend whose bits differ."""
    return [
        f"not the same bits: {x.backend} differs from {x.reference} first in step {x.step}, "
        f"{x.tensor}, element {list(x.index)}: {x.reference} {x.expected}, {x.backend} {x.found}"
        for x in report.differences
    ]
