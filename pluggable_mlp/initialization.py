"""The parameters that a training begins with, which may follow from its rows."""

from typing import Any

import numpy as np

from pluggable_mlp.arrays import map_nested
from pluggable_mlp.backends import Backend, get_backend
from pluggable_mlp.namespaces import namespace_of, unwrapped
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.network.passes import Parameters
from pluggable_mlp.network.row_initialization import initialized_on_rows
from pluggable_mlp.shortcuts import take
from pluggable_mlp.training.examples import AnyExamples, Streamed
from pluggable_mlp.training.trees import map_arrays

MOST_ROWS = 10_000
"""From which parameters follow; of more rows these are evenly spaced."""


def initial_parameters(
    mlp: MLP, examples: AnyExamples, *, on_rows: bool, seed: int, dtype: str, backend: Backend
) -> Parameters:
    """Return the parameters that a training begins with, on the backend.

    Where they follow from the rows, they are computed on the host in reproducible arithmetic: they
    are the same on every backend and every process.
    """
    if not on_rows:
        return mlp.initialize(seed=seed, backend=backend, dtype=dtype)
    host = get_backend("numpy")
    xp = namespace_of("reproducible", host)
    own = map_arrays(xp.asarray, mlp.initialize(seed=seed, backend=host, dtype=dtype))
    x = xp.asarray(_some_rows(examples, backend))
    if examples.scale is not None:
        x = xp.astype(x, getattr(xp, dtype)) * examples.scale
    own = initialized_on_rows(xp, mlp, own, x, seed=seed, backend=host)
    moved: Parameters = map_nested(backend.asarray, unwrapped(own))
    return moved


def _some_rows(examples: AnyExamples, backend: Backend) -> Any:
    """Return at most `MOST_ROWS` inputs on the host."""
    count = len(examples)
    kept = min(count, MOST_ROWS)
    places = np.arange(kept) * count // kept
    if isinstance(examples, Streamed):
        rows = examples.read((place, place + 1) for place in places.tolist())
        return backend.to_numpy(unwrapped(examples.on_device(rows).inputs))
    indices = backend.asarray(places, dtype="int64")
    return backend.to_numpy(take(backend.xp, unwrapped(examples.inputs), indices))
