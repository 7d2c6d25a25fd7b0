"""Errors and warnings about data that cannot be used, or perhaps not as intended."""

import warnings

from pluggable_mlp.fields import shorten


class DataError(ValueError):
    """Raised if data cannot be used: says which file, what is wrong with it, and what to do.

    Parameters
    ----------
    source : object
        The file, folder or name of the data.
    fault : str
        What is wrong: what came, and what was expected.
    remedy : str
        What the user can do.

    See Also
    --------
    DataWarning

    Examples
    --------
    >>> from pluggable_mlp import DataError, load_dataset
    >>> try:
    ...     load_dataset("gone.csv")
    ... except DataError as error:
    ...     print(error)
    gone.csv: there is no such file; check the path, which begins in ...
    """

    def __init__(self, source: object, fault: str, remedy: str) -> None:
        super().__init__(source, fault, remedy)

    def __str__(self) -> str:
        source, fault, remedy = self.args
        return f"{source}: {shorten(fault)}; {shorten(remedy)}"


class DataWarning(UserWarning):
    """Issued for data that can be used, but perhaps not as intended.

    See Also
    --------
    DataError

    Examples
    --------
    >>> import warnings
    >>> from pluggable_mlp import DataWarning
    >>> warnings.simplefilter("error", DataWarning)  # doctest: +SKIP
    """


def warn(name: str, doubt: str) -> None:
    """Warn of data that can be used, but perhaps not as intended."""
    warnings.warn(f"{name}: {shorten(doubt)}", DataWarning, stacklevel=4)
