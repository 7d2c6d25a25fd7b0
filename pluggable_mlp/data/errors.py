"""The error and the warning of the data package.  What is checked belongs in its readers."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["DataError", "DataWarning", "told_already"]


class DataError(ValueError):
    """Data that cannot be used: says which file, what is wrong with it, and what to do.

    Parameters
    ----------
    source
        The file, folder or name of the data.
    fault
        What is wrong: what came, and what was expected.
    remedy
        What the user can do.
    """

    def __init__(self, source: object, fault: str, remedy: str) -> None:
        super().__init__(source, fault, remedy)

    def __str__(self) -> str:
        source, fault, remedy = self.args
        return f"{source}: {fault}; {remedy}"

    def or_else(self, remedy: str) -> "DataError":
        """Return the same error with another remedy beside its own."""
        source, fault, own = self.args
        return DataError(source, fault, f"{own}, or {remedy}")


class DataWarning(UserWarning):
    """Data that can be used, but perhaps not as they are meant."""


@contextmanager
def told_already() -> Iterator[None]:
    """Give a context without `DataWarning`: for data of which training has told what there is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        yield
