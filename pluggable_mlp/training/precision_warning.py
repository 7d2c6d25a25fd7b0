"""Numbers that reproducible products lose, counted on the device and warned about once.

A reproducible product loses numbers far below the largest in their row or column;
docs/explanation/reproducible.md has the resulting errors.  The operands of the products x W are
counted: data by rows, weights by columns.
"""

import math
import warnings

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.namespaces import unwrapped
from pluggable_mlp.namespaces.reproducible.namespace import ReproducibleNamespace
from pluggable_mlp.namespaces.reproducible.products import lost
from pluggable_mlp.namespaces.sharded.namespace import ShardedNamespace
from pluggable_mlp.network.parameters import Parameters, is_weight
from pluggable_mlp.training.examples import AnyExamples
from pluggable_mlp.training.streaming import blocks_in_order

_MANY = 1e-3  # smaller fractions are not reported: some numbers are that small by chance


class PrecisionWarning(UserWarning):
    """Reproducible arithmetic is less accurate than native arithmetic for these data or weights.

    See Also
    --------
    train

    Examples
    --------
    >>> import warnings
    >>> from pluggable_mlp import PrecisionWarning
    >>> warnings.simplefilter("error", PrecisionWarning)  # doctest: +SKIP
    """


class LostNumbers:
    """Counts of the numbers that products lose during training.

    Parameters
    ----------
    xp : namespace
        The namespace of the training; only the reproducible one loses numbers.
    examples : Examples or Streamed
    """

    def __init__(self, xp: Namespace, examples: AnyExamples) -> None:
        if isinstance(xp, ShardedNamespace):
            xp = xp.inner
        self._library = xp.library if isinstance(xp, ReproducibleNamespace) else None
        self._pixels = examples.kind.scale is not None
        self._of_inputs = None
        if self._library is not None and not self._pixels:
            for block in blocks_in_order(examples):
                count = lost(self._library, unwrapped(block.inputs), -1)
                self._of_inputs = count if self._of_inputs is None else self._of_inputs + count
        self._sizes = {"inputs": math.prod(examples.inputs.shape)}
        self._warned: set[str] = set()

    def counts(self, parameters: Parameters) -> dict[str, Array]:
        """Return the counts, 0-d arrays, by name; empty if the namespace does not lose numbers."""
        if self._library is None:
            return {}
        counts = {} if self._of_inputs is None else {"inputs": self._of_inputs}
        for index, layer in enumerate(parameters):
            beside_pixels = self._pixels and index == 0
            for key in filter(is_weight, layer):
                name = f"parameters[{index}][{key!r}]"
                counts[name] = lost(self._library, layer[key], -2, beside_fixed_point=beside_pixels)
                self._sizes[name] = math.prod(layer[key].shape)
        return counts

    def warn(self, counts: dict[str, int], stacklevel: int = 1) -> None:
        """Warn if a count is large: once for the inputs, and once for the weights.

        Parameters
        ----------
        counts : dict
        stacklevel : int, default 1
            As for `warnings.warn`: 1 is the caller.
        """
        for name, count in counts.items():
            operand, size = name.partition("[")[0], self._sizes[name]
            if operand in self._warned or count < _MANY * size:
                continue
            self._warned.add(operand)
            row = "row" if operand == "inputs" else "column"
            warnings.warn(
                f"{count:,} of the {size:,} numbers of {name} ({count / size:.1%}) are so far "
                f"below the largest of their {row} that reproducible products take "
                "them for 0: native ones are more accurate; or take logarithms of the data, or "
                "standardise them by column",
                PrecisionWarning,
                stacklevel=stacklevel + 1,
            )
