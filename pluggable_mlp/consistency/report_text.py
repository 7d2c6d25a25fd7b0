"""The report of a comparison as text."""

from collections.abc import Iterable
from itertools import groupby

from pluggable_mlp.consistency.report import LAYER_BY_LAYER, WHOLE_STEP, Agreement, Report

__all__ = ["format_report"]

_NAMED = 4  # so many tensors are named in a line, more are counted


def format_report(report: Report) -> str:
    """Return the report as lines of text, the verdict last."""
    steps = "1 step" if report.steps == 1 else f"{report.steps} steps"
    head = (
        f"{report.arithmetic}, {report.dtype}: {steps} of up to {report.batch_size} of "
        f"{report.examples} examples, seed {report.seed}"
    )
    body = _hash_lines(report) if report.hashes else _agreement_lines(report)
    return "\n".join([head, "", *body, "", *_verdict(report)])


def _checks(report: Report) -> Iterable[tuple[str, list[Agreement]]]:
    """Yield each check with its dtype, as text, and what it found."""
    for (check, dtype), found in groupby(report.agreements, lambda one: (one.check, one.dtype)):
        yield f"{check}, {dtype}", list(found)


def _agreement_lines(report: Report) -> list[str]:
    """Return a table per check: a row per tensor and three columns per backend."""
    others = report.backends[1:]
    left = max(len(one.tensor) for one in report.agreements) + 1
    width = max(29, *(len(name) + 2 for name in others))
    titles = f"{'ulps':>{width - 20}}{'of bound':>10}{'sees':>10}"
    lines: list[str] = []
    for check, found in _checks(report):
        lines += ["", check] if lines else [check]
        lines.append(" " * left + "".join(f"{name:>{width}}" for name in others))
        lines.append(" " * left + titles * len(others))
        cells = {(one.tensor, one.backend): one for one in found}
        for tensor in dict.fromkeys(one.tensor for one in found):
            row = (_cell(cells.get((tensor, name)), width) for name in others)
            lines.append(f"{tensor:<{left}}" + "".join(row))
    return lines


def _cell(one: Agreement | None, width: int) -> str:
    """Return the three numbers of an agreement; one that was not made is a dash."""
    if one is None:
        return f"{'-':>{width}}"
    sees = "blind" if one.blind_part == 1.0 else f"{one.smallest_fault:.1e}"
    ulps = f"{one.ulps:.1f}" if one.ulps < 1e6 else f"{one.ulps:.1e}"
    return f"{ulps:>{width - 20}}{one.part_of_bound:>10.1e}{sees:>10}"


def _hash_lines(report: Report) -> list[str]:
    """Return a line per tensor and backend."""
    left = max(len(one.tensor) for one in report.hashes)
    middle = max(len(name) for name in report.backends)
    return [f"{one.tensor:<{left}}  {one.backend:<{middle}}  {one.sha256}" for one in report.hashes]


def _verdict(report: Report) -> list[str]:
    """Return what it comes to: how sharp each check was, what fails, and whether any does."""
    reference, others = report.backends[0], ", ".join(report.backends[1:])
    if report.hashes:
        return _different_bits(report) or [f"same bits: {reference}, {others}"]
    sharpness = [_sharpness(check, found) for check, found in _checks(report)]
    sharpness.append(
        f"{LAYER_BY_LAYER}: roundings of mean zero exceed a bound with a probability of at most "
        f"{report.improbability:.1e}"
    )
    if report.dtype != "float64" and (narrow := _without_float64(report)):
        sharpness.append(f"{WHOLE_STEP}, float64: not on {', '.join(narrow)}, for want of float64")
    if any(one.blind_part >= 0.5 for one in report.agreements):
        sharpness.append("blind: rounding could explain faults as large as the values themselves")
    beyond = [
        f"beyond the bound: {one.backend}, {one.tensor}, {one.check} in {one.dtype}, step "
        f"{one.step}: {one.part_of_bound:.3g} times what rounding can make it differ from "
        f"{reference}{_doubt(one)}"
        for one in report.agreements
        if one.part_of_bound > 1.0
    ]
    within = [f"within the bounds of rounding errors around {reference}: {others}"]
    return [*sharpness, "", *(beyond or within)]


def _without_float64(report: Report) -> list[str]:
    """Return the backends of which no step in float64 was compared."""
    wide = {
        one.backend
        for one in report.agreements
        if (one.check, one.dtype) == (WHOLE_STEP, "float64")
    }
    return [name for name in report.backends[1:] if name not in wide]


def _sharpness(check: str, found: list[Agreement]) -> str:
    """Return from which size on a fault is seen in any tensor, and in which tensors none is."""
    tensors = dict.fromkeys(one.tensor for one in found)
    blind = dict.fromkeys(one.tensor for one in found if one.blind_part == 1.0)
    dim = dict.fromkeys(one.tensor for one in found if 0.5 <= one.blind_part < 1.0)
    seeing = [one for one in found if one.tensor not in blind | dim]
    parts = []
    if seeing:
        last = max(seeing, key=lambda one: one.smallest_fault)
        parts.append(f"sees relative faults from {last.smallest_fault:.1e} on ({last.tensor})")
    for extent, names in (("most of ", dim), ("", blind)):
        counted = "all" if len(names) == len(tensors) else f"{len(names)} of {len(tensors)}"
        if names:
            named = ", ".join(names) if len(names) <= _NAMED else f"{counted} tensors"
            parts.append(f"blind to {extent}{named}")
    return f"{check}: {'; '.join(parts)}"


def _doubt(one: Agreement) -> str:
    """Return what is said of a difference that the worst case would still allow."""
    if one.part_of_worst_case is None or one.part_of_worst_case > 1.0:
        return ""
    return "; improbable, but within the worst case"


def _different_bits(report: Report) -> list[str]:
    """Return a line for each backend whose bits differ."""
    return [
        f"not the same bits: {one.backend} differs from {one.reference} first in step {one.step}, "
        f"{one.tensor}, element {list(one.index)}: {one.reference} {one.expected}, "
        f"{one.backend} {one.found}"
        for one in report.differences
    ]
