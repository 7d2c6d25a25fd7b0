"""Training side by side on several backends: do they agree, and where do they first differ?

Under `native` all results of a step (losses, gradients, parameters, buffers, the optimizer's
memory) must lie within derived bounds around those of the first backend, the reference: layer by
layer from common values, and in whole steps from the reference's state.  Any other arithmetic
promises the same bits: every backend trains by itself, and all bytes are compared.  The steps are
those of `pluggable_mlp.train`: the same seed, the same shuffles.  The comparisons are in
`comparators.py`.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.arrays.shortcuts import backend_context
from pluggable_mlp.backends import Backend
from pluggable_mlp.consistency.comparators import BitComparator, BoundComparator
from pluggable_mlp.consistency.report import Report
from pluggable_mlp.consistency.units import BackendRun
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.training.components import AnyOptimizer
from pluggable_mlp.training.examples import make_examples
from pluggable_mlp.training.optimizer import as_single_steps
from pluggable_mlp.training.optimizers import SGD
from pluggable_mlp.training.train import first_steps


def compare(
    backends: Sequence[Backend],
    mlp: MLP,
    inputs: Array,
    targets: Array,
    *,
    scale: float | None = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    optimizer: AnyOptimizer | None = None,
    dtype: str = "float32",
    arithmetic: str = "native",
    batch_size: int = 128,
    steps: int = 20,
    seed: int = 0,
) -> Report:
    """Take the same training steps on every backend, and compare the results.

    Parameters
    ----------
    backends : sequence of Backend
        At least two; the first one, usually NumPy, is the reference.
    mlp : MLP
        The network that is trained on each backend.
    inputs : array (examples, in)
        Host data: floats, or uint8 with a scale.  They stay as they are, and only one batch at
        a time becomes floats.
    targets : array (examples,) or (examples, classes)
        Host data: class indices from 0, or rows.
    scale : float, optional
        For uint8 inputs: the power of two that makes them floats, 1/256 for pixels.
    sample_weight : array (examples,), optional
        As for `pluggable_mlp.train`.
    class_weight : mapping or "balanced", optional
        As for `pluggable_mlp.train`.
    optimizer : Optimizer, optional
        By default `SGD()`; neither lbfgs nor the schedule plateau, which use more than a single
        batch.
    dtype : {"float32", "float64"}, default "float32"
    arithmetic : str, default "native"
        "native": agreement within the bounds; any other: the same bits.
    batch_size : int, default 128
        At least 1.
    steps : int, default 20
        How many batches, at least 1; at the end of the examples a new epoch begins.
    seed : int, default 0
        Seed of the initial parameters, the shuffles, dropout and noise.

    Returns
    -------
    Report

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit; the message names it, its value and what was expected.

    See Also
    --------
    format_report

    Examples
    --------
    >>> from pluggable_mlp import MLP, compare, get_backend, load_dataset
    >>> data, numpy = load_dataset("digits"), get_backend("numpy")
    >>> mlp = MLP([64, 8, 10])
    >>> report = compare([numpy, numpy], mlp, *data.train, scale=data.scale, steps=1)
    >>> report.passes
    True
    """
    if len(backends) < 2:
        raise ValueError(f"backends has length {len(backends)}, expected two or more to compare")
    for name, value in {"batch_size": batch_size, "steps": steps}.items():
        if value < 1:
            raise ValueError(f"{name} is {value}, expected an integer of at least 1")
    rule = as_single_steps(SGD() if optimizer is None else optimizer)
    names = tuple(_names(backends))
    report = Report(names, dtype, arithmetic, batch_size, steps, len(inputs), seed)
    runs: list[BackendRun] = []
    for name, backend in zip(names, backends, strict=True):
        with backend_context(backend):
            examples = make_examples(
                mlp,
                inputs,
                targets,
                backend=backend,
                dtype=dtype,
                scale=scale,
                arithmetic=arithmetic,
                sample_weight=sample_weight,
                class_weight=class_weight,
            )
            parameters = mlp.initialize(seed=seed, backend=backend, dtype=dtype)
            states = first_steps(
                mlp,
                parameters,
                examples,
                backend=backend,
                optimizer=rule,
                arithmetic=arithmetic,
                batch_size=batch_size,
                seed=seed,
            )
            runs.append(BackendRun(name, states, examples))
    is_native = arithmetic == "native"
    comparator = BoundComparator(dtype) if is_native else BitComparator()
    with np.errstate(all="ignore"):  # from values that the report will show, and infinite bounds
        for t in range(1, steps + 1):
            comparator.step(t, runs)
    return comparator.complete(report)


def _names(backends: Sequence[Backend]) -> list[str]:
    """Return a unique name for each backend, with its device or with a number."""
    names = [backend.name for backend in backends]
    counts = Counter(names)
    names = [
        f"{name}:{backend.device}" if counts[name] > 1 else name
        for name, backend in zip(names, backends, strict=True)
    ]
    counts = Counter(names)
    return [
        f"{name} ({number})" if counts[name] > 1 else name for number, name in enumerate(names, 1)
    ]
