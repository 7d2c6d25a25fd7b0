"""What training makes of inputs before a network sees them, so that later files get the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.columns import Columns
from pluggable_mlp.data.dataset import DataError
from pluggable_mlp.data.frame import Frame
from pluggable_mlp.data.scaling import SCALINGS, Scaling, fit_scaling
from pluggable_mlp.registry import choose
from pluggable_mlp.stored import mapped

__all__ = ["NO_SCALING", "PIXEL_SCALING", "Preparation", "as_values", "fit_columns", "scaled"]

NO_SCALING, PIXEL_SCALING = "none", "pixels"


@dataclass(frozen=True)
class Preparation:
    """What was made of the inputs of a source, in this order.

    Parameters
    ----------
    columns : Columns or None
        What became of the columns of a table; None for arrays and tables of numbers.
    pixel_scale : float or None
        What 8-bit pixels were multiplied by before they were scaled.
    scaling : Scaling or None
    feature_names : tuple of str or None
        What the source calls the features; None where it does not.
    pixels : bool, default False
        Whether numbers of any dtype were said to be 8-bit pixels: then later ones are, too.
    header : bool or None
        Whether the first line of a text named the columns; None for other sources.
    encoding : str or None
        Of a text.
    """

    columns: Columns | None = None
    pixel_scale: float | None = None
    scaling: Scaling | None = None
    feature_names: tuple[str, ...] | None = None
    pixels: bool = False
    header: bool | None = None
    encoding: str | None = None

    @property
    def scaling_kind(self) -> str:
        """The name of the scaling, as it is asked for."""
        if self.scaling is None:
            return PIXEL_SCALING if self.pixels else NO_SCALING
        return self.scaling.kind

    @property
    def every_name(self) -> tuple[str, ...] | None:
        """The names of all columns that training had beside the targets; None where it had none."""
        if self.columns is None:
            return self.feature_names
        return tuple(column.name for column in self.columns.columns)

    @property
    def used_names(self) -> tuple[str, ...]:
        """Those that became features."""
        return self.feature_names or () if self.columns is None else tuple(self.columns.names)

    @property
    def names_of_features(self) -> tuple[str, ...]:
        """The names of the features; empty where they have none."""
        return self.feature_names or () if self.columns is None else tuple(self.columns.features)

    def as_array(self, name: str, inputs: Any) -> Array:
        """Return what becomes of the columns of a Frame; arrays are returned as they are.

        Raises
        ------
        DataError
            If training saw an array and this is a Frame, or the other way round.
        """
        if self.columns is not None:
            if not isinstance(inputs, Frame):
                fault = "holds no table, as the network was trained on"
                raise DataError(name, fault, f"give the columns {', '.join(self.columns.names)}")
            return self.columns.apply(name, inputs)
        if isinstance(inputs, Frame):
            fault = "holds texts or lacks values, the network was trained on numbers"
            raise DataError(name, fault, "give numbers, and fill what is missing")
        return inputs

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preparation":
        """Return the preparation that `to_dict` wrote, whatever else stands beside it."""
        columns, scaling, names = (values[k] for k in ("columns", "scaling", "feature_names"))
        return cls(
            None if columns is None else Columns.from_dict(columns),
            None,
            None if scaling is None else Scaling.from_dict(scaling),
            None if names is None else tuple(names),
            values["pixels"],
            values["header"],
            values["encoding"],
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the preparation as JSON knows it, without the pixel scale."""
        names = self.feature_names
        return {
            "columns": None if self.columns is None else self.columns.to_dict(),
            "scaling": None if self.scaling is None else self.scaling.to_dict(),
            "feature_names": None if names is None else list(names),
            "header": self.header,
            "encoding": self.encoding,
            "pixels": self.pixels,
        }


def fit_columns(name: str, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], Columns | None]:
    """Return the inputs of all splits as arrays, and what became of the columns of a table."""
    if not isinstance(inputs["train"], Frame):
        return dict(inputs), None
    columns = Columns.fit(name, inputs["train"])
    return {part: columns.apply(name, frame) for part, frame in inputs.items()}, columns


def scaled(
    name: str,
    kind: str,
    inputs: dict[str, Array],
    columns: Columns | None = None,
    unit: float = 1.0,
    what: str = "scaling",
) -> tuple[dict[str, Array], Scaling | None]:
    """Return the inputs of all splits, scaled as was asked for, and how.

    Parameters
    ----------
    name : str
        Of the data, for errors.
    kind : str
        A name of `SCALINGS`; "none" and "pixels" leave the inputs as they are.
    inputs : dict of arrays (n, features)
    columns : Columns, optional
        Of a table, which made the inputs: categories are not scaled.
    unit : float, default 1
        The value of one unit of uint8 inputs.
    what : str, default "scaling"
        What the kind is called where it was asked for, for errors.
    """
    others = (NO_SCALING,) if what == "target_scaling" else (NO_SCALING, PIXEL_SCALING)
    choose(SCALINGS | dict.fromkeys(others), kind, what)
    if kind in others:
        return inputs, None
    if columns is not None:
        scaling = fit_scaling(name, kind, inputs["train"].numbers(), columns.numeric)
        return {part: array.map(scaling.apply_in_place) for part, array in inputs.items()}, scaling
    values = {part: mapped(array, partial(as_values, unit=unit)) for part, array in inputs.items()}
    scaling = fit_scaling(name, kind, values["train"])
    return {part: mapped(array, scaling.apply_in_place) for part, array in values.items()}, scaling


def as_values(inputs: Array, unit: float | None) -> Array:
    """Return a copy of inputs as float64, 8-bit pixels times their unit."""
    values = inputs.astype(np.float64)
    return values * unit if inputs.dtype == np.uint8 and unit is not None else values
