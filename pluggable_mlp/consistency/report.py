"""What a comparison found, as data and as a dictionary for JSON; as text: `report_text.py`."""

import math
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["LAYER_BY_LAYER", "WHOLE_STEP", "Agreement", "Difference", "Hash", "Report"]

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
        Of the computations that were compared.
    tensor, backend : str
        "loss", "layer 1 dW" or "activation 1 y", counting the layers that have parameters from 1.
    ulps : float
        The largest difference in ulps of the reference's element, or of the reference's root
        mean square where the element is smaller.
    part_of_bound : float
        The largest difference as a part of the bound: at most 1 if all is well.  The bound of
        whole steps is the worst that rounding can do, that of layers what it does but for
        `Report.improbability`.
    part_of_worst_case : float or None
        The largest difference as a part of the worst that rounding can do; None where it is
        within the probable bound.
    step : int
        The step, from 1, with this part of the bound.
    smallest_fault, blind_part : float
        How sharp the check was, see `Sharpness`: in the step that would have shown most.
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
        Under the native arithmetic: one per check, tensor and backend.
    improbability : float
        Under the native arithmetic: the probability, at most, with which backends whose
        roundings have mean zero exceed any of the bounds layer by layer.
    hashes : tuple of Hash
        Under any other: one per tensor and backend.
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
    improbability: float = 0.0
    hashes: tuple[Hash, ...] = ()
    differences: tuple[Difference, ...] = ()

    @property
    def passes(self) -> bool:
        """Whether all is within its bound, or the same bits."""
        return not self.differences and all(one.part_of_bound <= 1.0 for one in self.agreements)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as dictionaries, lists, strings and finite numbers: None if infinite."""
        found = {"passes": self.passes, **asdict(self)}
        found["agreements"] = [
            {name: _finite(value) for name, value in one.items()} for one in found["agreements"]
        ]
        return found


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
