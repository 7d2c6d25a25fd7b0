"""Estimators that the processes of a communicator fit together: what all kinds of them share.

How each process takes its part of a batch is in `training/sharding.py`.
"""

from copy import copy
from typing import Any, ClassVar, Self, TypeVar

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import HasMethods

from pluggable_mlp.backends import Backend
from pluggable_mlp.distributed import Communicator
from pluggable_mlp.training.sharding import check_agreement

Value = TypeVar("Value")


class DistributedEstimator(BaseEstimator):
    """An estimator with the parameter `communicator`."""

    communicator: Communicator | None
    arithmetic: str

    _parameter_constraints: ClassVar[dict[str, list[object]]] = {
        "communicator": [HasMethods(["all_reduce", "all_gather"]), None]
    }

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes for copies and pickles, which have no communicator."""
        return {**super().__getstate__(), "communicator": None}

    def __sklearn_clone__(self) -> Self:
        """Return an unfitted estimator with the same parameters, and this communicator."""
        cloned: Self = super(DistributedEstimator, copy(self)).__sklearn_clone__()
        cloned.communicator = self.communicator
        return cloned

    @property
    def _is_shown(self) -> bool:
        """Whether this process shows what goes on: the first of several."""
        return self.communicator is None or self.communicator.rank == 0

    def _check_agreement(
        self, communicator: Communicator, place: Backend, given: dict[str, Any]
    ) -> None:
        """Raise if another process has other parameters, or other data and state by name."""
        own = {**self.get_params(deep=False), "arithmetic": self.arithmetic}
        check_agreement(communicator, place, own | given)


def as_on_first(communicator: Communicator | None, found: Value) -> Value:
    """Return what process 0 found: all processes decide alike by it."""
    return found if communicator is None else communicator.all_gather(found)[0]
