"""What products take for 0 of data and weights of a wide range: counted on the device, told once.

A reproducible product has no place for what is far below the largest number of its row or column;
docs/reproducible.md has the errors that come of it.  Counted are the operands of the products
x W: data by rows, weights by columns.  When the counts are read is the loop's business.
"""

import math
import warnings

from pluggable_mlp.arithmetic import Arithmetic
from pluggable_mlp.arrays import Array
from pluggable_mlp.network.mlp import Parameters
from pluggable_mlp.training.batches import Examples

__all__ = ["LostNumbers", "PrecisionWarning"]

_MANY = 1e-3  # a smaller part of the numbers is not told: some are that small by chance


class PrecisionWarning(UserWarning):
    """An arithmetic is less accurate with these data or weights than the library's own."""


class LostNumbers:
    """Counts of numbers that products take for 0, in the course of one training.

    Parameters
    ----------
    arithmetic : Arithmetic
    examples : Examples
    """

    def __init__(self, arithmetic: Arithmetic, examples: Examples) -> None:
        self._arithmetic = arithmetic
        self._pixels = examples.scale is not None
        self._of_inputs = None if self._pixels else arithmetic.lost(examples.inputs, -1)
        self._sizes = {"inputs": math.prod(examples.inputs.shape)}
        self._told: set[str] = set()

    def counts(self, parameters: Parameters) -> dict[str, Array]:
        """Return the counts, 0-d, by what they are of; none under an arithmetic without any."""
        counts = {"inputs": self._of_inputs}
        for index, layer in enumerate(parameters):
            if "W" not in layer:  # of a normalization
                continue
            beside_pixels = self._pixels and index == 0
            of_weights = self._arithmetic.lost(layer["W"], -2, beside_fixed_point=beside_pixels)
            counts[f"parameters[{index}]['W']"] = of_weights
            self._sizes[f"parameters[{index}]['W']"] = math.prod(layer["W"].shape)
        return {name: count for name, count in counts.items() if count is not None}

    def tell(self, counts: dict[str, int]) -> None:
        """Warn where a count is large: once of the inputs, and once of the first of the weights."""
        for name, count in counts.items():
            kind, size = name.partition("[")[0], self._sizes[name]
            if kind in self._told or count < _MANY * size:
                continue
            self._told.add(kind)
            row = "row" if kind == "inputs" else "column"
            warnings.warn(
                f"{count:,} of the {size:,} numbers of {name} ({count / size:.1%}) are so far "
                f"below the largest of their {row} that {self._arithmetic.name} products take "
                "them for 0: native ones are more accurate; or take logarithms of the data, or "
                "standardise them by column",
                PrecisionWarning,
                stacklevel=2,
            )
