"""The fit of a recipe's network to a prepared table: epochs, of which the best is kept.

Shapes: inputs (n, features), targets (n,) of classes or (n, 1) of numbers, weights (n,).
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from pluggable_mlp.arrays import Array, LibraryArrays
from pluggable_mlp.backends import Backend
from pluggable_mlp.initialization import initial_parameters
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.settings import Settings
from pluggable_mlp.training.callbacks import BestEpoch
from pluggable_mlp.training.evaluation import evaluate
from pluggable_mlp.training.examples import AnyExamples, make_examples
from pluggable_mlp.training.loop import Epoch, epochs_of, training_progress
from pluggable_mlp.training.sharding import order_of_processes
from pluggable_mlp.training.train import first_steps


class Part(NamedTuple):
    """A part of a prepared table."""

    inputs: Array
    targets: Array
    weights: Array | None


@dataclass
class Fitted:
    """The best epoch, or the last where there is no validation part, and what was measured in all.

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


def fit_network(
    settings: Settings,
    mlp: MLP,
    train: Part,
    validation: Part | None,
    backend: Backend,
    *,
    time_limit: float | None = None,
    tell: Callable[[Epoch, float | None], None] | None = None,
) -> Fitted:
    """Train a network by settings.

    Parameters
    ----------
    settings : Settings
        Those of `for_dataset`.
    mlp : MLP
    train, validation : Part
    backend : Backend
    time_limit : float, optional
        In seconds: an epoch that would end later is not begun; the first is.
    tell : callable, optional
        Called with each epoch and its validation error.

    Raises
    ------
    DivergenceError
        If the loss or the parameters become infinite or NaN.
    """
    fit = _Fit(settings, mlp, backend)
    examples = None if validation is None else fit.examples(validation)
    best = BestEpoch(settings.used("early_stopping"), last=settings.made_recipe.last_best)
    fitted, begin = Fitted(), time.perf_counter()
    for epoch in fit.epochs(train):
        assert isinstance(epoch.train_loss, float)  # of a single network
        fitted.losses.append(epoch.train_loss)
        error = None
        if examples is not None:
            error = fit.error(epoch, examples)
        seconds = time.perf_counter() - begin
        if error is not None:
            fitted.errors.append(error)
        if error is None or best.is_best(epoch.epoch, error):
            fitted.parameters, fitted.epoch = epoch.parameters, epoch.epoch
        if tell is not None:
            tell(epoch, error)
        is_late = time_limit is not None and seconds * (1 + 1 / epoch.epoch) > time_limit
        if is_late or best.is_over:
            break
    return fitted


@dataclass(frozen=True)
class _Fit:
    """What a fit trains, by which settings, and where."""

    settings: Settings
    mlp: MLP
    backend: Backend

    def epochs(self, train: Part) -> Iterator[Epoch]:
        """Return the epochs of the training."""
        settings, examples = self.settings, self.examples(train)
        steps = first_steps(
            settings.scheduled(self.mlp, len(examples)),
            initial_parameters(
                self.mlp,
                examples,
                on_rows=self.settings.made_recipe.on_rows,
                seed=settings.seed,
                dtype=settings.dtype,
                backend=self.backend,
            ),
            examples,
            backend=self.backend,
            optimizer=settings.make_optimizer(len(examples), self.mlp),
            arithmetic=settings.arithmetic,
            batch_size=settings.batch_size,
            seed=settings.seed,
        )
        return epochs_of(
            training_progress(
                steps,
                examples,
                order=order_of_processes(settings.seed, steps.xp),
                epochs=settings.epochs,
                whole_batches=self.settings.made_recipe.whole_batches,
            )
        )

    def examples(self, part: Part) -> AnyExamples:
        """Return a part on the backend; for several processes, on the host."""
        return make_examples(
            self.mlp,
            part.inputs,
            part.targets,
            block_size=self.settings.rows_of_blocks(),
            communicator=self.communicator,
            sample_weight=part.weights,
            backend=self.backend,
            dtype=self.settings.dtype,
            arithmetic=self.settings.arithmetic,
        )

    def error(self, epoch: Epoch, examples: AnyExamples) -> float:
        """Return the share of wrong classes, or the mean squared error, weighted."""
        measured = evaluate(
            self.mlp,
            epoch.parameters,
            examples,
            backend=self.backend,
            arithmetic=self.settings.arithmetic,
            batch_size=self.settings.made_recipe.rows_at_once,
        )
        assert self.settings.task is not None  # of `for_dataset`
        return self.settings.made_recipe.error(self.settings.task, measured)
