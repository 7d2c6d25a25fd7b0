"""What all estimators share of their files; what these hold: `saving.py`, `table_saving.py`."""

from os import PathLike
from pathlib import Path
from typing import Any, Self

from sklearn.utils.validation import check_is_fitted


class FilesMixin:
    """Methods that save an estimator, and load it."""

    @staticmethod
    def _write(estimator: Any, path: Path) -> None:
        """Write a fitted estimator."""
        raise NotImplementedError

    @staticmethod
    def _read(kind: Any, path: Path, backend: str) -> Any:
        """Return the estimator of a kind that a file holds."""
        raise NotImplementedError

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fitted model to one safetensors file, with all else as JSON in it.

        The preparation of tables is in it; callbacks, a `RandomState` and the optimizer's memory
        are left out.

        Parameters
        ----------
        path : str or Path

        Raises
        ------
        ValueError
            If a parameter is a function or an object of your own.
        """
        check_is_fitted(self)
        self._write(self, Path(path))

    @classmethod
    def load(cls, path: str | PathLike[str], *, backend: str = "numpy") -> Self:
        """Return what `save` wrote.

        Parameters
        ----------
        path : str or Path
        backend : str, default "numpy"
            Where the parameters are to be and to compute, such as "torch:cuda".

        Raises
        ------
        ValueError
            If the file cannot be read, has changed, or holds no such estimator.
        """
        made: Self = cls._read(cls, Path(path), backend)
        return made
