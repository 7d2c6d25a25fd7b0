"""A training that diverges ends with an error, which names the first array that is not finite.

The loop notices when it reads losses or parameters.  It then computes the state before the step in
question again, and takes that step layer by layer, even if it was compiled before.
"""

import math
from functools import partial
from typing import TYPE_CHECKING

from pluggable_mlp.arrays import Array, Namespace, is_cpu
from pluggable_mlp.arrays.compiling import compiled
from pluggable_mlp.arrays.shortcuts import backend_at
from pluggable_mlp.network.layers import layer_kind
from pluggable_mlp.network.parameters import Parameters, Tree, merged
from pluggable_mlp.training.losses import Loss, is_finite
from pluggable_mlp.training.lost_numbers import LostNumbers
from pluggable_mlp.training.step import loss_and_gradients

if TYPE_CHECKING:
    from pluggable_mlp.training.loop import Progress
    from pluggable_mlp.training.train import Training


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
        self.epoch: int = epoch
        self.found: str = fault
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
