"""What watches a training: its best epoch, numbers that products lose, and the first not finite.

`EarlyStopping` is a callback of `train`: it is called after each epoch and may stop training.

A reproducible product loses numbers far below the largest in their row or column;
docs/explanation/reproducible.md has the resulting errors.  The operands of the products x W are
counted on the device, data by rows, weights by columns, and warned about once.

A training that diverges ends with an error.  The loop notices when it reads losses or parameters.
It then computes the state before the step in question again, and takes that step layer by layer,
even if it was compiled before.
"""

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from pluggable_mlp.arrays import Array, Namespace, is_cpu
from pluggable_mlp.compiling import compiled
from pluggable_mlp.fields import PositiveCount, convert
from pluggable_mlp.namespaces import unwrapped
from pluggable_mlp.namespaces.reproducible.namespace import ReproducibleNamespace
from pluggable_mlp.namespaces.reproducible.products import lost
from pluggable_mlp.namespaces.sharded.namespace import ShardedNamespace
from pluggable_mlp.network.layers import layer_kind
from pluggable_mlp.network.parameters import Parameters, Tree, merged
from pluggable_mlp.shortcuts import backend_at
from pluggable_mlp.training.examples import AnyExamples
from pluggable_mlp.training.losses import Loss, is_finite
from pluggable_mlp.training.step import loss_and_gradients
from pluggable_mlp.training.streaming import blocks_in_order

if TYPE_CHECKING:
    from pluggable_mlp.network.passes import LayeredNetwork
    from pluggable_mlp.training.loop import Epoch, Progress
    from pluggable_mlp.training.train import Training


class BestEpoch:
    """Finds the best epoch so far, and whether it is too long ago.

    Parameters
    ----------
    patience : int, optional
        How many epochs in a row may be no better; by default any number.

    Attributes
    ----------
    best_epoch : int
        0 before the first.
    best_loss : float
    """

    def __init__(self, patience: int | None = None) -> None:
        self.patience = patience
        self._epoch, self.best_epoch, self.best_loss = 0, 0, math.inf
        self._losses: tuple[float, ...] = ()

    def is_best(self, epoch: int, *losses: float) -> bool:
        """Note an epoch, and return whether it is the best so far, by the first loss to differ."""
        losses = tuple(math.inf if math.isnan(loss) else loss for loss in losses)
        self._epoch = epoch
        best = not self.best_epoch or losses < self._losses
        if best:
            self.best_epoch, self.best_loss, self._losses = epoch, losses[0], losses
        return best

    @property
    def is_over(self) -> bool:
        """Whether `patience` epochs have passed since the best one."""
        return self.patience is not None and self._epoch - self.best_epoch >= self.patience


class EarlyStopping(BestEpoch):
    """Stop training when a loss has not decreased for some epochs, and keep the best parameters.

    One instance serves one training of one network.

    Parameters
    ----------
    patience : int
        How many epochs in a row may bring no smaller loss, at least 1.
    loss : callable, optional
        Returns the loss to watch for an `Epoch`, such as that of a validation part; by default its
        training loss.

    Attributes
    ----------
    best_epoch : int
        The epoch with the smallest loss; 0 before the first.
    best_loss : float
    parameters : list of dict of arrays or None
        Those of the best epoch.

    See Also
    --------
    keras.callbacks.EarlyStopping

    Examples
    --------
    >>> from pluggable_mlp import MLP, SGD, EarlyStopping, get_backend, train
    >>> stopping = EarlyStopping(patience=2)
    >>> result = train(
    ...     MLP([1, 2]), [[0.0], [1.0]], [0, 1], backend=get_backend("numpy"),
    ...     optimizer=SGD(0.0), callbacks=[stopping],
    ... )
    >>> stopping.best_epoch, len(result.history)  # a rate of 0 improves nothing
    (1, 3)
    """

    def __init__(self, patience: int, loss: "Callable[[Epoch], float] | None" = None) -> None:
        super().__init__(convert("patience", patience, PositiveCount))
        self._loss = loss
        self.parameters: Parameters | None = None

    def __call__(self, epoch: "Epoch") -> bool:
        """Return whether training is to stop after this epoch."""
        loss = epoch.train_loss if self._loss is None else self._loss(epoch)
        if isinstance(loss, list):
            raise ValueError(
                f"the loss of epoch {epoch.epoch} is {loss}, one for each network, expected a "
                "number: train each network alone, or watch their mean by loss="
            )
        if self.is_best(epoch.epoch, loss):
            self.parameters = epoch.parameters
        return self.is_over


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

    def __init__(self, xp: Namespace, mlp: "LayeredNetwork", examples: AnyExamples) -> None:
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


class DivergenceError(ArithmeticError):
    """Raised if a loss in an epoch, or a parameter after it, is not finite.

    Attributes
    ----------
    epoch : int
        The first such epoch; the results of earlier ones are kept.
    found : str
        What is not finite, from which step on, and in which layer it began.
    reached : Training or None
        The parameters and the history before that epoch, if raised by `train`.

    See Also
    --------
    train

    Examples
    --------
    >>> import numpy as np
    >>> from pluggable_mlp import MLP, SGD, DivergenceError, get_backend, train
    >>> mlp, backend = MLP([1, 1], loss="squared_error"), get_backend("numpy")
    >>> try:
    ...     with np.errstate(over="ignore", invalid="ignore"):
    ...         train(mlp, [[1e3]], [1e3], backend=backend, optimizer=SGD(1e12))
    ... except DivergenceError as error:
    ...     print(error.epoch, len(error.reached.history))
    2 1
    """

    def __init__(self, epoch: int, fault: str) -> None:
        super().__init__(epoch, fault)
        self.epoch, self.found = epoch, fault
        self.reached: Training | None = None

    def __str__(self) -> str:
        advice = "a smaller learning rate, gradients clipped by clip_norm"
        if "output of the noise" in self.found:  # it comes before all parameters
            advice = "a smaller input_noise"
        return (
            f"training diverged in epoch {self.epoch}: {self.found}; try {advice}, or inputs "
            "scaled to about -1 to 1"
        )


class _Origin:
    """Finds the first layer that is not finite, in an epoch so far."""

    def __init__(self, progress: "Progress") -> None:
        steps = progress.steps
        self._xp, self._mlp, self._seed = steps.xp, steps.mlp, steps.seed
        self._before = progress.state_before

    def of_loss(self, step: int) -> str:
        """Return in words where the loss of a step ceased to be finite; empty if unknown."""
        before = self._before(step)
        if before is None:
            return ""
        state, batch = before
        spoilt = self._spoilt(state.parameters)
        if spoilt is not None:
            return self.of_parameter(step - 1, *spoilt)
        x, _, _ = batch
        if not self._finite(x):
            return ", whose inputs hold NaN or infinity"
        place = self._first_output(merged(state.parameters, state.buffers), x, state.t)
        if place is not None:
            return f", where {place} is the first that is not finite"
        loss, _ = loss_and_gradients(self._xp, self._mlp, state, batch, self._seed)
        if self._finite(loss):  # other bits than those of the compiled step
            return ""
        return ", where the outputs of all layers are finite, their loss is not"

    def of_parameter(self, step: int, layer: int, name: str) -> str:
        """Return in words how a step spoilt a parameter; empty if unknown."""
        before = self._before(step)
        if before is None or self._spoilt(before[0].parameters):
            return ""
        state, batch = before
        if name not in state.parameters[layer]:  # a buffer has no gradient
            return ""
        _, gradients = loss_and_gradients(self._xp, self._mlp, state, batch, self._seed)
        spoilt = self._spoilt(gradients[::-1])
        if spoilt is None:
            return (
                f": step {step + 1} made {name} of layer {layer} infinite or NaN, with gradients "
                "that are finite"
            )
        last = len(gradients) - 1 - spoilt[0]
        return f": in step {step + 1} the gradient of {spoilt[1]} of layer {last} is not finite"

    def _first_output(self, parameters: Parameters, x: Array, t: int) -> str | None:
        """Return which layer's output is not finite first."""
        remaining = enumerate(parameters)
        index = -1  # that of the inputs
        for layer in self._mlp.layers:
            arrays: dict[str, Array] = {}
            if layer.shapes():
                index, arrays = next(remaining)
            x, _ = layer.forward(self._xp, arrays, x, self._mlp.rng_at(t, self._seed))
            if not self._finite(x):
                if arrays:
                    return f"the output of layer {index} ({type(layer).__name__})"
                place = "of the inputs" if index < 0 else f"after layer {index}"
                return f"the output of the {layer_kind(layer)} {place}"
        return None

    def _spoilt(self, tree: Tree) -> tuple[int, str] | None:
        """Return the place and the name of the first array that is not finite."""
        for index, arrays in enumerate(tree):
            for name, array in sorted(arrays.items()):
                if not self._finite(array):
                    return index, name
        return None

    def _finite(self, array: Array) -> bool:
        return bool(self._xp.all(self._xp.isfinite(array)))


def finite_mean(progress: "Progress") -> Loss:
    """Return the mean of an epoch's losses so far: waits for the device.

    Raises
    ------
    DivergenceError
        If one is not finite; the message names the first.
    """
    mean = progress.losses.mean()
    if not is_finite(mean):
        losses, _ = progress.losses.read()
        lost = (place for place, loss in enumerate(losses) if not is_finite(loss))
        step, since = next(lost, None), ""
        if step is not None:
            origin = _Origin(progress).of_loss(step)
            since = f" from step {step + 1} of {progress.steps_of_epoch} on{origin}"
        raise DivergenceError(progress.epoch, f"its loss is {mean}{since}")
    return mean


def check_parameters_finite(
    progress: "Progress", parameters: Parameters, lost: LostNumbers
) -> None:
    """Refuse divergence, and warn of lost numbers: waits for the device once.

    Raises
    ------
    DivergenceError
        If a parameter after an epoch is NaN or infinite; the message names it.
    """
    backend, counts = progress.steps.backend, lost.counts(parameters)
    places = [(index, name) for index, layer in enumerate(parameters) for name in layer]
    arrays = [parameters[index][name] for index, name in places]
    if is_cpu(arrays[0]):  # a call of its own takes longer
        numbers: list[int] = [
            math.isfinite(abs(backend.to_numpy(x)).max(initial=0.0)) for x in arrays
        ]
        numbers += [int(backend.to_numpy(count)) for count in counts.values()]
    else:
        call = partial(_are_finite, backend.xp)
        are_finite = compiled(backend_at(backend.xp), call) or call
        numbers = backend.to_numpy(are_finite(arrays, [*counts.values()])).tolist()
    if not all(numbers[: len(places)]):
        index, name = places[numbers.index(False)]
        lost_one = f"parameters[{index}][{name!r}] holds NaN or infinity after it"
        since = _Origin(progress).of_parameter(progress.steps_of_epoch - 1, index, name)
        raise DivergenceError(progress.epoch, f"{lost_one}{since}")
    lost.warn(dict(zip(counts, numbers[len(places) :], strict=True)))


def _are_finite(xp: Namespace, arrays: list[Array], counts: list[Array]) -> Array:
    """Return 1 for each array that is finite, else 0, and the counts, as int64."""
    finite = [xp.all(xp.isfinite(array)) for array in arrays]
    return xp.stack([xp.astype(number, xp.int64) for number in finite + counts])
