"""What a fit sets, only if it succeeds, and what both solvers do after an iteration.

The solvers are in `epochs.py` and `lbfgs.py`.  Shapes: inputs (examples, features), targets
(examples,) or (examples, outputs).
"""

from abc import ABC
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from pluggable_mlp.arrays import LibraryArray, LibraryArrays
from pluggable_mlp.estimators.objective import PenalizedMLP
from pluggable_mlp.estimators.parameters import EstimatorParameters, SteppedRate
from pluggable_mlp.estimators.validation import moved_tree, place_of
from pluggable_mlp.network.loss import Loss
from pluggable_mlp.network.passes import Parameters
from pluggable_mlp.training.optimizer import Slots

Estimator = TypeVar("Estimator", bound=BaseEstimator)

OF_THE_CALLER = 6  # the stack level of who called `fit`, seen from what `_fit` calls


@contextmanager
def fitted_apart(estimator: Estimator) -> Iterator[Estimator]:
    """Yield a copy to fit; if that succeeds, its changes become those of the estimator.

    No fit changes an attribute in place: a copy need not be deep.  What a callback or another
    thread sets on the estimator meanwhile stays.
    """
    copied, before = object.__new__(type(estimator)), dict(vars(estimator))
    copied.__dict__.update(before)
    yield copied
    after, nothing = vars(copied), object()
    changed = {name: of for name, of in after.items() if before.get(name, nothing) is not of}
    gone = before.keys() - after.keys()
    kept = {name: of for name, of in vars(estimator).items() if name not in gone}
    estimator.__dict__ = {**kept, **changed}


class FittedMLP(EstimatorParameters, ABC):
    """The attributes of a fit, of which those that hold parameters are up to date at its end."""

    loss: str | Loss
    coefs_: list[LibraryArray]
    intercepts_: list[LibraryArray]
    norms_: LibraryArrays
    loss_: float
    loss_curve_: list[float]
    best_loss_: float | None
    validation_scores_: list[float] | None
    validation_loss_curve_: list[float] | None
    best_validation_score_: float | None
    certificate_: dict[str, Any]
    n_iter_: int
    t_: int
    n_layers_: int
    n_outputs_: int
    _outputs_of_y: int
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]
    out_activation_: str

    _numeric_targets: ClassVar[bool] = True
    _metric: ClassVar[Callable[..., float]]
    _random_state: np.random.RandomState
    _rate: SteppedRate
    _no_improvement_count: int
    _optimizer_state: tuple[Slots, int] | None = None
    """The optimizer's slots, on the backend of the attributes, and the count of its updates."""

    def _keep(self, parameters: Parameters) -> None:
        """Set the attributes that hold parameters."""
        dense = [of for of in parameters if "W" in of]
        self.coefs_ = [of["W"] for of in dense]
        self.intercepts_ = [of["b"] for of in dense]
        self.norms_ = [of for of in parameters if "W" not in of]

    def _parameters(self, network: PenalizedMLP) -> Parameters:
        """Return the parameters in the order of the network's layers."""
        arrays = iter(zip(self.coefs_, self.intercepts_, strict=True))
        norms = iter(getattr(self, "norms_", []))  # who sets `coefs_` by hand may know of none
        shapes = [layer.shapes() for layer in network.layers if layer.shapes()]
        parameters = [
            dict(zip("Wb", next(arrays, ()), strict=False)) if "W" in of else next(norms, {})
            for of in shapes
        ]
        members = (self.n_members,) if self.n_members > 1 else ()
        found = [{name: tuple(of.shape) for name, of in layer.items()} for layer in parameters]
        expected = [{name: (*members, *of[name]) for name in of} for of in shapes]
        if found != expected or [*arrays, *norms]:
            raise ValueError(
                f"hidden_layer_sizes={self.hidden_layer_sizes!r}, norm={self.norm!r}, "
                f"n_members={self.n_members} and loss={self.loss!r} describe another network than "
                f"the fitted one of sizes "
                f"{[*(W.shape[-2] for W in self.coefs_), self.coefs_[-1].shape[-1]]}; fit it "
                "again, with warm_start=False"
            )
        return parameters

    def _keep_at_home(self, parameters: Parameters) -> None:
        """Set the attributes that hold parameters, which may be of another place."""
        self._keep(moved_tree(parameters, place_of(self.coefs_[0])))

    def _is_stopped(self, parameters: Parameters) -> bool:
        """Call the callbacks with the parameters so far, and return whether one says stop."""
        callbacks = self._list_of_callbacks()
        if callbacks:
            self._keep_at_home(parameters)
        answers = [callback(self) is True for callback in callbacks]  # all are called
        return any(answers)

    def _print(self, message: str) -> None:
        if self.verbose:
            print(message)

    @contextmanager
    def _progress_bar(self) -> Iterator[Callable[[], None]]:
        """Show a bar of the iterations on a terminal, if asked to; yield what advances it."""
        if not self.progress_bar:
            yield lambda: None
            return
        from rich.console import Console
        from rich.progress import Progress as Bar

        console = Console(stderr=True)
        is_shown = console.is_terminal or console.is_jupyter
        with Bar(console=console, transient=True, disable=not is_shown) as bar:
            task = bar.add_task(type(self).__name__, total=self.max_iter)
            yield lambda: bar.advance(task)
