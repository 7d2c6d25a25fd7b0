"""What an estimator is fitted to, and what its ways have in common: `epochs.py` and `lbfgs.py`.

After each iteration the estimator's attributes are up to date, and its callbacks
are called.  Shapes: inputs (examples, features), targets (examples,) or (examples, outputs).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.backends import Backend
from pluggable_mlp.estimators.objective import PenalizedMLP
from pluggable_mlp.estimators.validation import moved_tree
from pluggable_mlp.namespaces import unwrapped
from pluggable_mlp.network.passes import Parameters
from pluggable_mlp.training.examples import Examples
from pluggable_mlp.training.precision_warning import LostNumbers

if TYPE_CHECKING:
    from pluggable_mlp.estimators.base import BaseMLP

OF_THE_CALLER = 6  # the stack level of who called `fit`, seen from what `_fit` calls


@dataclass(frozen=True)
class Problem:
    """What is to be fitted, on what, and where.

    Attributes
    ----------
    xp
        The namespace of the computation.
    network : PenalizedMLP
    examples : Examples
        On `place`; their `sample_weight` contains the weights of their classes.
    given_weight : array (examples,) or None
        The `sample_weight` that was given to `fit`, which scores count.
    place, home : Backend
        Where training happens, and where the model's attributes live.
    """

    xp: Namespace
    network: PenalizedMLP
    examples: Examples
    given_weight: Array | None
    place: Backend
    home: Backend

    def part(self, indices: NDArray[np.int64]) -> "Problem":
        """Return the problem of the examples at these indices."""
        there, examples = self.place.asarray(indices), self.examples
        data = (examples.inputs, examples.targets, examples.sample_weight, self.given_weight)
        inputs, targets, weight, given_weight = (
            None if each is None else self.xp.take(each, there, axis=0) for each in data
        )
        chosen = replace(examples, inputs=inputs, targets=targets, sample_weight=weight)
        return replace(self, examples=chosen, given_weight=given_weight)

    def warn_of_lost_numbers(self, parameters: Parameters) -> None:
        """Warn where reproducible products take many numbers of the data or weights for 0."""
        lost = LostNumbers(self.xp, self.examples)
        counts = lost.counts(moved_tree(parameters, self.place))
        numbers = {name: int(unwrapped(count)) for name, count in counts.items()}
        lost.warn(numbers, stacklevel=OF_THE_CALLER)


class Fit(ABC):
    """A fit of an estimator from the parameters that it has.

    Parameters
    ----------
    model : BaseMLP
    problem : Problem
    """

    def __init__(self, model: "BaseMLP", problem: Problem) -> None:
        self._model, self._problem = model, problem
        self._start = moved_tree(model._parameters(problem.network), problem.place)
        self._xp = problem.xp

    @abstractmethod
    def run(self) -> None:
        """Fit, and set the estimator's attributes."""

    @property
    @abstractmethod
    def _parameters(self) -> Parameters:
        """The parameters that are reached, which are on `place`."""

    def _keep(self, parameters: Parameters) -> None:
        """Give the estimator its parameters, which are on `place`."""
        self._model._keep(moved_tree(parameters, self._problem.home))

    def _is_stopped(self) -> bool:
        """Call the callbacks with the parameters now, and return whether one of them says stop."""
        callbacks = self._model._list_of_callbacks()
        if callbacks:
            self._keep(self._parameters)
        answers = [callback(self._model) is True for callback in callbacks]  # all are called
        return any(answers)

    def _print(self, message: str) -> None:
        if self._model.verbose:
            print(message)

    @contextmanager
    def _progress_bar(self) -> Iterator[Callable[[], None]]:
        """Show a bar of the iterations on a terminal, if asked to; yield what advances it."""
        if not self._model.progress_bar:
            yield lambda: None
            return
        from rich.console import Console
        from rich.progress import Progress as Bar

        console = Console(stderr=True)
        if not (console.is_terminal or console.is_jupyter):
            yield lambda: None
            return
        with Bar(console=console, transient=True) as bar:
            task = bar.add_task(type(self._model).__name__, total=self._model.max_iter)
            yield lambda: bar.advance(task)
