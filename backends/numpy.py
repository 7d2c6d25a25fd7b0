"""The NumPy backend, on the host."""

from collections.abc import Callable
from typing import Any

import array_api_compat.numpy
import numpy as np

from pluggable_mlp.shortcuts import offer

from .memory import keep_freed_blocks
from .numpy_replay import Recorded
from .numpy_rules import RuleInParts
from .threads import run_all
from .transfer import ArrayLibrary

__all__ = ["NumpyBackend"]


def _zero_where(mask: Any, x: Any) -> Any:
    # A product costs the same for every pattern, where np.where slows down up to seven times if
    # the pattern cannot be predicted, as that of relu.  Products with booleans convert them slowly.
    kept = (~mask).astype(x.dtype)
    kept *= x
    return kept


def _mean(x: Any, *, axis: int) -> Any:
    return np.add.reduce(x, axis=axis) / x.shape[axis]


# `np.sum` and `np.mean` end there, too, after several functions in Python: half of their time for
# small arrays.
offer(
    array_api_compat.numpy,
    clip=np.clip,
    matmul=np.matmul,
    mean=_mean,
    recorded=Recorded,
    sum=np.add.reduce,
    zero_where=_zero_where,
)


class NumpyBackend(ArrayLibrary):
    """NumPy arrays, which are host data already, so that `asarray` and `to_numpy` do not copy."""

    name = "numpy"
    xp = array_api_compat.numpy
    _device = "cpu"
    run_all = staticmethod(run_all)

    def __init__(self, device: str | None = None) -> None:
        if device not in (None, "cpu"):
            raise ValueError(f"device is {device!r}: NumPy has one device, 'cpu'")
        self.device = "cpu"
        keep_freed_blocks()

    def _upload(self, host: Any) -> Any:
        return host

    def _download(self, array: Any) -> Any:
        return np.asarray(array)  # a scalar, as NumPy's reductions give it, becomes 0-d

    def synchronize(self) -> None:
        """Return at once: NumPy computes before it returns."""

    def record(self, function: Callable[..., Any]) -> Recorded:
        """See `Recorder.record`."""
        return Recorded(function)

    def rule_applier(self) -> RuleInParts:
        """See `RuleApplier.rule_applier`."""
        return RuleInParts()

    def versions(self) -> dict[str, str]:
        """See `Backend.versions`."""
        return {"numpy": np.__version__}

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        """See `Backend.devices`."""
        return ("cpu",)
