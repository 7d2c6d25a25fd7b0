"""The second seam: how products, sums and transcendental functions are rounded.

`native` is the array library's own way, fast; `reproducible` gives the same bits everywhere.
The formulas of the network, the losses and the optimizers are the same lines under both.
"""

from collections.abc import Callable
from typing import Any

from pluggable_mlp.arithmetic.contract import Arithmetic, ArithmeticUnavailable, Factor
from pluggable_mlp.arithmetic.native import Native
from pluggable_mlp.arithmetic.reproducible import Reproducible
from pluggable_mlp.arithmetic.running import RunAll, one_by_one
from pluggable_mlp.arrays import Namespace
from pluggable_mlp.names import choose
from pluggable_mlp.shortcuts import check_process

__all__ = [
    "ARITHMETICS",
    "Arithmetic",
    "ArithmeticUnavailable",
    "Factor",
    "Native",
    "Reproducible",
    "arithmetic_of",
    "get_arithmetic",
]

ARITHMETICS: dict[str, Callable[[Namespace, RunAll], Arithmetic]] = {
    "native": Native,
    "reproducible": Reproducible,
}


def get_arithmetic(name: str, xp: Namespace, run_all: RunAll = one_by_one) -> Arithmetic:
    """Return the arithmetic of that name, bound to an array API namespace.

    Parameters
    ----------
    name : {"native", "reproducible"}
        Which arithmetic.
    xp
        The namespace of the arrays it will compute with.
    run_all
        Who runs the pieces that an operation on large arrays is cut into.

    Raises
    ------
    ValueError
        If there is no arithmetic of that name.
    BackendUnavailable
        If a setting of the library, for the whole process, forbids right results.
    ArithmeticUnavailable
        If the library has no float64, and the arithmetic asks for it.
    """
    check_process(xp)
    return choose(ARITHMETICS, name, "arithmetic")(xp, run_all)


def arithmetic_of(name: str, backend: Any) -> Arithmetic:
    """Return `get_arithmetic` for a backend's arrays, on its threads if it has any."""
    return get_arithmetic(name, backend.xp, getattr(backend, "run_all", one_by_one))
