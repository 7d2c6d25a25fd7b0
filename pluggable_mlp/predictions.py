"""Predictions of a saved network for a file of examples, as rows for a table."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.errors import DataError
from pluggable_mlp.data.unlabelled import load_inputs
from pluggable_mlp.network.mlp import MLP, Parameters

__all__ = ["predict_rows"]

_EXAMPLES_AT_ONCE = 1000


def predict_rows(
    mlp: MLP,
    parameters: Parameters,
    path: Path,
    *,
    scale: float | None,
    dtype: str,
    arithmetic: str,
    backend: Any,
) -> Iterator[list[Any]]:
    """Return [class, probability of each class …] for every example of a file, as asked for.

    The file is read and checked before the first: a fault in it leaves an old output alone.

    Parameters
    ----------
    mlp, parameters
        The network; its parameters are on the backend.
    path : Path
        Examples without labels; see `load_inputs`.
    scale : float or None
        What the integers of training data were multiplied by: integers of the file are, too.
    dtype, arithmetic : str
        As for training.
    backend : Backend

    Raises
    ------
    DataError
        If the file does not hold what the network takes.
    """
    inputs = load_inputs(path, mlp.sizes[0])
    if inputs.dtype == "uint8" and scale is None:
        raise DataError(path, "holds integers of 8 bits, but training saw floats", "scale them")
    factor = scale if inputs.dtype == "uint8" and scale is not None else 1.0

    def rows_of(part: Array) -> Iterator[list[Any]]:
        x = backend.asarray(part.astype(dtype) * factor, dtype=dtype)
        rows = backend.to_numpy(mlp.predict_proba(parameters, x, arithmetic=arithmetic))
        return ([int(row.argmax()), *row.tolist()] for row in rows)

    starts = range(0, inputs.shape[0], _EXAMPLES_AT_ONCE)
    parts = (inputs[start : start + _EXAMPLES_AT_ONCE, :] for start in starts)
    return chain.from_iterable(map(rows_of, parts))
