"""The second seam: how products, sums and transcendental functions are rounded.

`native` is the array library's own way, fast; `reproducible` gives the same bits everywhere.
The formulas of the network, the losses and the optimizers are the same lines under both.
"""

from collections.abc import Callable
from functools import lru_cache

from pluggable_mlp.arithmetic.contract import Arithmetic, Factor
from pluggable_mlp.arithmetic.native import Native
from pluggable_mlp.arithmetic.reproducible import Reproducible
from pluggable_mlp.arrays import Namespace
from pluggable_mlp.names import choose

__all__ = ["ARITHMETICS", "Arithmetic", "Factor", "Native", "Reproducible", "get_arithmetic"]

ARITHMETICS: dict[str, Callable[[Namespace], Arithmetic]] = {
    "native": Native,
    "reproducible": Reproducible,
}


@lru_cache(maxsize=32)
def get_arithmetic(name: str, xp: Namespace) -> Arithmetic:
    """Return the arithmetic of that name, bound to an array API namespace.

    Parameters
    ----------
    name : {"native", "reproducible"}
        Which arithmetic.
    xp
        The namespace of the arrays it will compute with.

    Raises
    ------
    ValueError
        If there is no arithmetic of that name.
    """
    return choose(ARITHMETICS, name, "arithmetic")(xp)
