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
from pluggable_mlp.estimators.saving import FilesMixin
from pluggable_mlp.exporting import Exported, need_ndonnx, write_onnx
from pluggable_mlp.lazy import on_host
from pluggable_mlp.network.checks import check_parameters
from pluggable_mlp.network.mlp import MLP


class TableConversionMixin(FilesMixin):
    """What a fitted estimator of a table can be turned into, and made of."""

    preparation_: Preparation
    network_: MLP
    parameters_: LibraryArrays
    certificate_: dict[str, Any]

    _saved = ("n_features_in_", "feature_names_in_", "n_iter_", "best_iteration_", "loss_curve_",
              "validation_errors_", "classes_", "preparation_")  # fmt: skip

    def _weights_to_save(self) -> Any:
        return self.parameters_

    def _take_weights(self, weights: Any, backend: str) -> None:
        self.set_params(backend=backend, device=None)
        self._set_network()
        check_parameters(self.network_, weights)
        self.parameters_ = map_nested(self._place().asarray, weights)

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
