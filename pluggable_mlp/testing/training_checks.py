"""Checks by training: that it runs, agrees with NumPy's within bounds, and has recorded bits."""

from functools import partial
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from pluggable_mlp.backends import Backend, get_backend
from pluggable_mlp.consistency import compare
from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.testing.checks import CHECKS, Check, Grade, check, expect
from pluggable_mlp.testing.recorded_runs import RUNS, recorded, run
from pluggable_mlp.training.components import OPTIMIZERS, make_optimizer
from pluggable_mlp.training.optimizers import SGD, Adam
from pluggable_mlp.training.train import train


def _two_clusters() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return inputs (40, 2) and labels (40,), which one hidden layer tells apart."""
    labels = np.arange(40) % 2
    return np.stack([labels * 2.0 - 1.0, np.linspace(-1.0, 1.0, 40)], axis=1), labels


@check(Grade.RUNS)
def training(backend: Backend) -> None:
    """A network learns to tell two clusters apart."""
    inputs, labels = _two_clusters()
    mlp = MLP([2, 4, 2], activation="tanh")
    history = train(
        mlp, inputs, labels, backend=backend, optimizer=SGD(0.5), epochs=5, batch_size=8, seed=1
    ).history
    first, last = np.asarray(history)[[0, -1]]
    expect(last < first / 2, f"the losses of five epochs are {history}")


@check(Grade.RUNS)
def training_with_every_component(backend: Backend) -> None:
    """Every activation and every optimizer runs, and loses nothing to NaN."""
    names = [*ACTIVATIONS]
    pairs = [(one, names[place - 1]) for place, one in enumerate(names) if place % 2 == 0]
    count = max(len(pairs), len(OPTIMIZERS))
    for pair, optimizer, _ in zip(cycle(pairs), cycle(OPTIMIZERS), range(count), strict=False):
        _expect_finite(backend, pair, optimizer)


def _expect_finite(backend: Backend, pair: tuple[str, str], optimizer: str) -> None:
    inputs, labels = _two_clusters()
    dropout = 0.0 if optimizer == "lbfgs" else 0.1  # a line search has one function
    mlp = MLP([2, 4, 3, 2], activation=[*pair], norm="layer", dropout=dropout)
    what = f"activations {' and '.join(pair)}, optimizer {optimizer}"
    try:
        history = train(
            mlp, inputs, labels, backend=backend, optimizer=make_optimizer(optimizer), epochs=2
        ).history
    except Exception as error:  # whatever a backend raises
        error.add_note(what)
        raise
    expect(bool(np.all(np.isfinite(history))), f"{what}: the losses are {history}")


@check(Grade.AGREES)
def steps_within_bounds(backend: Backend) -> None:
    """Losses, gradients and updates lie within the derived bounds around NumPy's."""
    rng = np.random.default_rng(0)
    inputs, labels = rng.standard_normal((96, 7)), rng.integers(0, 3, 96)
    networks = {
        "sigmoid": MLP([7, 9, 3], activation="sigmoid"),
        "gelu, layer normalization": MLP([7, 9, 8, 3], activation="gelu", norm="layer"),
    }
    for name, mlp in networks.items():
        for dtype in ("float32", "float64"):
            report = compare(
                [get_backend("numpy"), backend],
                mlp,
                inputs,
                labels,
                dtype=dtype,
                optimizer=Adam(0.01),
                batch_size=32,
                steps=4,
            )
            worst = max(report.agreements, key=lambda each: each.part_of_bound)
            expect(
                report.passes,
                f"{name} in {dtype}: {worst.tensor} of step {worst.step} differs by "
                f"{worst.part_of_bound:.3g} of its bound ({worst.check})",
            )


def _has_the_recorded_bits(name: str, backend: Backend) -> None:
    """A reproducible run of 20 steps has the bits that were recorded."""
    found, expected = run(name, backend), recorded()[name]
    expect(found == expected, f"the hash is {found[:12]}…, recorded {expected[:12]}…")


for _name in RUNS:
    _function = partial(_has_the_recorded_bits, _name)
    _function.__doc__ = _has_the_recorded_bits.__doc__
    CHECKS[f"recorded run: {_name}"] = Check(f"recorded run: {_name}", Grade.SAME_BITS, _function)
