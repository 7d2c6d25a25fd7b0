"""JAX's settings for the whole process under which results would be others, or none."""

from collections.abc import Callable
from typing import Any

import jax

from .contract import BackendUnavailable

__all__ = ["require_settings"]

# Which values of a setting fit, one that does, and what JAX does under the others.
_SETTINGS: tuple[tuple[str, Callable[[Any], bool], Any, str], ...] = (
    ("jax_enable_x64", bool, True, "JAX makes float32 of float64"),
    (
        "jax_default_matmul_precision",
        lambda value: value not in jax.lax.DotAlgorithmPreset.__members__,
        "highest",
        "such an algorithm rounds the entries of products, of float64, too",
    ),
    (
        "jax_numpy_dtype_promotion",
        lambda value: value == "standard",
        "standard",
        "JAX then refuses what the array API standard promotes",
    ),
    (
        "jax_numpy_rank_promotion",
        lambda value: value != "raise",
        "allow",
        "JAX then refuses what the array API standard broadcasts",
    ),
)


def require_settings() -> None:
    """Raise unless all settings fit, in this process and where this is called.

    Raises
    ------
    BackendUnavailable
        What is set, to what, and how to set it.
    """
    for name, fits, fitting, reason in _SETTINGS:
        setting = getattr(jax.config, name)
        value = getattr(setting, "value", setting)  # some are members of an Enum
        if not fits(value):
            raise BackendUnavailable(
                "jax",
                f"{name} is {value!r}, and {reason}",
                f"set it by jax.config.update({name!r}, {fitting!r})",
            )
