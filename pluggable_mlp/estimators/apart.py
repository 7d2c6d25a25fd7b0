"""Fits that change an estimator only if they succeed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from sklearn.base import BaseEstimator

Estimator = TypeVar("Estimator", bound=BaseEstimator)


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
