"""The numbers that products lose: those far below the largest in their row or column.

docs/explanation/reproducible.md has the resulting errors.  The operands of the products x W are
counted on the device, data by rows, weights by columns, and warned about once.
"""

import math
import warnings

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.namespaces import unwrapped
from pluggable_mlp.namespaces.reproducible.namespace import ReproducibleNamespace
from pluggable_mlp.namespaces.reproducible.products import lost
from pluggable_mlp.namespaces.sharded.namespace import ShardedNamespace
from pluggable_mlp.network.parameters import Parameters
from pluggable_mlp.network.passes import LayeredNetwork
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
    mlp : MLP
    examples : Examples or Streamed
    """

    def __init__(self, xp: Namespace, mlp: LayeredNetwork, examples: AnyExamples) -> None:
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
        self._layers, self._warned = mlp.layers_with_parameters, set[str]()

    def counts(self, parameters: Parameters) -> dict[str, Array]:
        """Return the counts, 0-d arrays, by name; empty if the namespace does not lose numbers."""
        if self._library is None:
            return {}
        counts = {} if self._of_inputs is None else {"inputs": self._of_inputs}
        for index, (layer, arrays) in enumerate(zip(self._layers, parameters, strict=True)):
            beside_pixels = self._pixels and index == 0
            for key in layer.weights:
                name, W = f"parameters[{index}][{key!r}]", arrays[key]
                counts[name] = lost(self._library, W, -2, beside_fixed_point=beside_pixels)
                self._sizes[name] = math.prod(W.shape)
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
