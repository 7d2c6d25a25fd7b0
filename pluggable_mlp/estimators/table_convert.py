"""Fitted estimators of tables in other forms: files, ONNX graphs.

Shapes: X (n, columns), y and sample_weight (n,), the matrix (n, features).
"""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from sklearn.utils.validation import check_is_fitted

from pluggable_mlp.arrays import LibraryArrays, map_nested
from pluggable_mlp.data.preparation import Preparation
from pluggable_mlp.estimators.files import FilesMixin
from pluggable_mlp.estimators.table_saving import read_table_estimator, write_table_estimator
from pluggable_mlp.exporting import Exported, need_ndonnx, write_onnx
from pluggable_mlp.lazy import on_host
from pluggable_mlp.network.mlp import MLP


class TableConversionMixin(FilesMixin):
    """What a fitted estimator of a table can be turned into, and made of."""

    preparation_: Preparation
    network_: MLP
    parameters_: LibraryArrays
    certificate_: dict[str, Any]

    _write = staticmethod(write_table_estimator)
    _read = staticmethod(read_table_estimator)

    def to_onnx(self, path: str | PathLike[str]) -> None:
        """Write the fitted model to an ONNX file, in float32, its preparation included.

        Its inputs are the columns that are used, (N,) by name: float64 numbers, int64 of whole
        numbers among the `categorical_features`, booleans, or texts; or "X" (N, columns) where all
        are numbers and none was missing.  Where values were missing in training, codes are
        float64, with NaN, and booleans texts, with "".  The outputs are "label" and
        "probabilities", or "prediction"; one that is named as a column has an underscore at its
        end.

        Parameters
        ----------
        path : str or Path

        Raises
        ------
        ValueError
            If the extra `onnx` is not installed.
        """
        check_is_fitted(self)
        need_ndonnx()
        parameters = map_nested(on_host, self.parameters_)
        write_onnx(
            Exported(self.preparation_, self.network_, parameters, self._labels()),
            Path(path),
        )

    def _labels(self) -> Sequence[int | str] | None:
        """Return the labels of the classes, if there are any."""
        return None
