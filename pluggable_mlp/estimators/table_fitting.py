"""The fit of a recipe's network to a prepared table: epochs, of which the best is kept.

Shapes: inputs (n, features), targets (n,) of classes or (n, 1) of numbers, weights (n,).
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pluggable_mlp.arrays import Array, LibraryArrays
from pluggable_mlp.backends import Backend
from pluggable_mlp.namespaces import namespace_of, unwrapped
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.network.row_initialization import initialized_on_rows
from pluggable_mlp.training.evaluation import outputs_of
from pluggable_mlp.training.examples import Examples, make_examples
from pluggable_mlp.training.loop import Epoch, epochs_of, training_progress
from pluggable_mlp.training.optimizer import Optimizer
from pluggable_mlp.training.recipes import Recipe
from pluggable_mlp.training.streaming import seeded_order
from pluggable_mlp.training.train import first_steps
from pluggable_mlp.training.trees import map_arrays

__all__ = ["Best", "Part", "Place", "fit_network", "steps_of_epoch"]

ROWS_AT_ONCE = 512
"""Of the validation part: as many members' outputs are in memory together."""


class Part(NamedTuple):
    """A part of a prepared table."""

    inputs: Array
    targets: Array
    weights: Array | None


class Place(NamedTuple):
    """Where and how training computes.

    Parameters
    ----------
    backend : Backend
    dtype : {"float32", "float64"}
    arithmetic : {"native", "reproducible"}
    seed : int
    """

    backend: Backend
    dtype: str
    arithmetic: str
    seed: int


@dataclass
class Best:
    """The best epoch so far, and what was measured in all.

    Attributes
    ----------
    parameters : list of dict of arrays
        On the backend.
    epoch : int
        Whose they are.
    losses, errors : list of float
        The training loss and the validation error of each epoch; the second empty without a
        validation part.
    """

    parameters: LibraryArrays = field(default_factory=list)
    epoch: int = 0
    losses: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)

    def note(self, epoch: Epoch, error: float | None, *, last: bool) -> None:
        """Add an epoch; keep its parameters if it is the best, of equal ones the last or first."""
        assert isinstance(epoch.train_loss, float)  # of a single network
        self.losses.append(epoch.train_loss)
        if error is not None:
            least = min(self.errors, default=math.inf)
            self.errors.append(error)
            if error > least or (error == least and not last):
                return
        self.parameters, self.epoch = epoch.parameters, epoch.epoch


def steps_of_epoch(recipe: Recipe, count: int) -> int:
    """Return how many batches of a recipe an epoch of so many examples has."""
    return max(1, count // recipe.batch_size)


def fit_network(
    recipe: Recipe,
    mlp: MLP,
    optimizer: Optimizer,
    train: Part,
    validation: Part | None,
    place: Place,
    *,
    epochs: int,
    time_limit: float | None = None,
    tell: Callable[[Epoch, float | None], None] | None = None,
) -> Best:
    """Train a network, and return its best epoch: the last where there is no validation part.

    Parameters
    ----------
    recipe : Recipe
    mlp : MLP
    optimizer : Optimizer
    train, validation : Part
    place : Place
    epochs : int
        The most.
    time_limit : float, optional
        In seconds: an epoch that would end later is not begun; the first is.
    tell : callable, optional
        Called with each epoch and its validation error.

    Raises
    ------
    DivergenceError
        If the loss or the parameters become infinite or NaN.
    """
    measured = None if validation is None else _examples(mlp, validation, place)
    best, begin = Best(), time.perf_counter()
    for epoch in _epochs(recipe, mlp, optimizer, train, place, epochs):
        error = None
        if measured is not None and validation is not None:
            error = _error(mlp, epoch, measured, validation, place)
        best.note(epoch, error, last=recipe.last_best)
        if tell is not None:
            tell(epoch, error)
        seconds = time.perf_counter() - begin
        is_late = time_limit is not None and seconds * (1 + 1 / epoch.epoch) > time_limit
        is_over = recipe.patience is not None and epoch.epoch - best.epoch >= recipe.patience
        if is_late or is_over:
            break
    return best


def _epochs(
    recipe: Recipe, mlp: MLP, optimizer: Optimizer, train: Part, place: Place, epochs: int
) -> Iterator[Epoch]:
    """Return the epochs of the training."""
    backend, dtype, arithmetic, seed = place
    examples = _examples(mlp, train, place)
    parameters = mlp.initialize(seed=seed, backend=backend, dtype=dtype)
    if recipe.on_rows:
        xp = namespace_of(arithmetic, backend)
        own = map_arrays(xp.asarray, parameters)
        x = xp.asarray(examples.inputs)
        own = initialized_on_rows(xp, mlp, own, x, seed=seed, backend=backend)
        parameters = unwrapped(own)
    steps = first_steps(
        recipe.scheduled(mlp, epochs * steps_of_epoch(recipe, len(examples))),
        parameters,
        examples,
        backend=backend,
        optimizer=optimizer,
        arithmetic=arithmetic,
        batch_size=min(recipe.batch_size, len(examples)),
        seed=seed,
    )
    order = seeded_order(seed)
    return epochs_of(
        training_progress(steps, examples, order=order, epochs=epochs, whole_batches=True)
    )


def _examples(mlp: MLP, part: Part, place: Place) -> Examples:
    """Return a part on the backend."""
    return make_examples(
        mlp,
        part.inputs,
        part.targets,
        sample_weight=part.weights,
        backend=place.backend,
        dtype=place.dtype,
        arithmetic=place.arithmetic,
    )


def _error(mlp: MLP, epoch: Epoch, examples: Examples, part: Part, place: Place) -> float:
    """Return the share of wrong classes, or the mean squared error, weighted, on the host."""
    outputs = outputs_of(
        mlp,
        epoch.parameters,
        examples,
        backend=place.backend,
        arithmetic=place.arithmetic,
        batch_size=ROWS_AT_ONCE,
    )
    if mlp.objective.targets != "classes":
        assert isinstance(outputs.loss, float)  # of a single network
        return outputs.loss
    predicted = unwrapped(mlp.objective.predict(outputs.xp, outputs.z))
    is_wrong = place.backend.to_numpy(predicted) != part.targets
    return float(np.average(is_wrong, weights=part.weights))
