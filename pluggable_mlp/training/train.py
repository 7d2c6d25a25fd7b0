"""The function `train`, which checks its arguments and runs the training loop."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pluggable_mlp.arrays import Array, Namespace, common_namespace, dtype_name
from pluggable_mlp.namespaces import namespace_of, unwrapped
from pluggable_mlp.network.checks import check_parameters, check_sample_weight, check_targets
from pluggable_mlp.network.mlp import MLP, Parameters
from pluggable_mlp.registry import as_count, as_flag, as_number, as_seed
from pluggable_mlp.training.batches import Examples
from pluggable_mlp.training.class_weight import class_weights_of_examples
from pluggable_mlp.training.components import AnyOptimizer
from pluggable_mlp.training.loop import DivergenceError, Epoch, training_epochs
from pluggable_mlp.training.optimizers import SGD
from pluggable_mlp.training.records import Loss

__all__ = ["Callback", "Training", "make_examples", "train"]

Callback: TypeAlias = Callable[[Epoch], bool | None]


@dataclass(frozen=True)
class Training:
    """The result of `train`.

    Attributes
    ----------
    parameters : list of dict of arrays
        The trained parameters, on the backend.
    history : list of float
        The mean training loss of each epoch; nested lists of the shape of the leading axes of the
        parameters, if there are any.
    """

    parameters: Parameters
    history: list[Loss]


def make_examples(
    mlp: MLP,
    inputs: Any,
    targets: Any,
    *,
    backend: Any,
    dtype: str,
    scale: float | None = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    arithmetic: str = "native",
) -> Examples:
    """Check inputs (examples, in), targets and sample_weight, and move them to the backend.

    The arguments are those of `train`.

    Raises
    ------
    ValueError, TypeError
        If their shapes, dtypes or ranges do not fit the network; the message says which.
    """
    scale = None if scale is None else as_number("scale", scale, above=0.0)
    xp = namespace_of(arithmetic, backend)
    moved = backend.asarray(inputs)
    x = _as_inputs(xp, moved, dtype, scale)
    targets = unwrapped(_as_floats(xp, backend.asarray(targets), dtype))
    if x.ndim != 2 or x.shape[1] != mlp.sizes[0] or x.shape[0] < 1:
        raise ValueError(f"inputs has shape {x.shape}, expected (examples, {mlp.sizes[0]})")
    floating = getattr(xp, dtype)
    targets = xp.asarray(check_targets(mlp, moved, targets, floating))
    if sample_weight is not None:
        sample_weight = _as_floats(xp, backend.asarray(sample_weight), dtype)
        sample_weight = xp.astype(sample_weight, floating, copy=False)  # of integers, too
        check_sample_weight(moved, unwrapped(sample_weight), floating)
    if class_weight is not None:
        kind, outputs = mlp.objective.targets, mlp.sizes[-1]
        own = class_weights_of_examples(xp, kind, targets, outputs, class_weight, floating)
        name = "class_weight of the examples"
        if sample_weight is not None:
            name, own = "class_weight * sample_weight", sample_weight * own
        sample_weight = own
        check_sample_weight(moved, unwrapped(sample_weight), floating, name=name)
    return Examples(x, targets, floating, scale, sample_weight)


def _as_inputs(xp: Namespace, moved: Array, dtype: str, scale: float | None) -> Array:
    """Return inputs as an array of the namespace: uint8 with a scale, or floats of the dtype."""
    if scale is not None:
        if moved.dtype != xp.uint8:
            raise ValueError(
                f"inputs are {moved.dtype} with scale={scale}, expected uint8: "
                "only pixels are scaled"
            )
        return xp.asarray(moved)
    if not xp.isdtype(moved.dtype, "real floating"):
        raise ValueError(
            f"inputs are {moved.dtype}, expected floats, or uint8 with scale=1/256; convert them"
        )
    largest = min(float(xp.finfo(kind).max) for kind in (moved.dtype, getattr(xp, dtype)))
    own = common_namespace(inputs=moved)
    if not bool(own.all(own.abs(moved) <= largest)):  # NaN fails it, too
        raise ValueError(f"inputs hold NaN, infinity or numbers beyond {dtype}; scale or drop them")
    return _as_floats(xp, moved, dtype)


def _as_floats(xp: Namespace, moved: Array, dtype: str) -> Array:
    """Return an array of the namespace: floats of the dtype, or integers unchanged."""
    x = xp.asarray(moved)
    if not xp.isdtype(x.dtype, "real floating"):
        return x
    return xp.astype(x, getattr(xp, dtype), copy=False)


def train(
    mlp: MLP,
    inputs: Array,
    targets: Array,
    *,
    backend: Any,
    parameters: Parameters | None = None,
    optimizer: AnyOptimizer | None = None,
    epochs: int = 10,
    batch_size: int = 128,
    dtype: str = "float32",
    arithmetic: str = "native",
    seed: int = 0,
    shuffle: bool = True,
    scale: float | None = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    callbacks: Sequence[Callback] = (),
) -> Training:
    """Train a network on examples with targets.

    Parameters
    ----------
    mlp : MLP
    inputs : array (examples, in)
        Arrays of the backend's library, or host data, which are moved to the device once.
    targets : array (examples,), (examples, 1) or (examples, outputs)
        Class indices from 0, one-hot rows or probabilities; for other losses, a label or a number
        for each output.
    backend : Backend
        Such as `get_backend("numpy")`.
    parameters : list of dict of arrays, optional
        The initial parameters; by default `mlp.initialize(seed=seed, …)`.  With leading axes, W
        (…, in, out) and b (…, out), several networks are trained with the same batches and learning
        rate, each with the same result as by itself.
    optimizer : Optimizer, optional
        By default `SGD()`.
    epochs : int, default 10
        At least 1.
    batch_size : int, default 128
        At least 1; the last batch of an epoch may be smaller.
    dtype : {"float32", "float64"}, default "float32"
    arithmetic : {"native", "reproducible"}, default "native"
        How operations round.
    seed : int, default 0
        Seed of the initial parameters, the shuffles and dropout, from 0 to 2**64 - 1.
    shuffle : bool, default True
        Whether to visit the examples in a new order in each epoch.
    scale : float, optional
        For uint8 inputs, a power of two by which they are multiplied, such as 1/256 for pixels.
    sample_weight : array (examples,), optional
        Weights of the examples, at least 0; the loss of a batch is the weighted average.
    class_weight : "balanced", mapping or sequence, optional
        Factors of the weights of the examples by class; see `class_weights_of_examples`.
    callbacks : sequence of callable, default ()
        Called with the `Epoch` after every epoch.  If one returns True, training stops after all
        have been called.

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit; the message names it, its value and what was expected.
    DivergenceError
        If the loss or the parameters become infinite or NaN; its `reached` is the `Training` before
        that epoch.
    """
    _check_kinds(mlp, backend, optimizer, dtype)
    callbacks = _as_callbacks(callbacks)
    shuffle = as_flag("shuffle", shuffle)
    epochs = as_count("epochs", epochs, at_least=1)
    batch_size = as_count("batch_size", batch_size, at_least=1)
    seed = as_seed(seed)
    examples = make_examples(
        mlp,
        inputs,
        targets,
        backend=backend,
        dtype=dtype,
        scale=scale,
        sample_weight=sample_weight,
        class_weight=class_weight,
        arithmetic=arithmetic,
    )
    if parameters is None:
        parameters = mlp.initialize(seed=seed, backend=backend, dtype=dtype)
    else:
        _check_start(mlp, parameters, examples)
    run = training_epochs(
        mlp,
        parameters,
        examples,
        backend=backend,
        optimizer=optimizer or SGD(),
        arithmetic=arithmetic,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        shuffle=shuffle,
    )
    return _trained(run, parameters, callbacks)


def _trained(
    epochs: Iterator[Epoch], parameters: Parameters, callbacks: Sequence[Callback]
) -> Training:
    """Train until the last epoch, or until a callback stops training.

    If training diverges, the error contains the result so far.
    """
    history: list[Loss] = []
    try:
        for epoch in epochs:
            history.append(epoch.train_loss)
            parameters = epoch.parameters
            answers = [_asks_to_stop(callback, epoch) for callback in callbacks]
            if any(answers):
                break
    except DivergenceError as error:
        error.reached = Training(parameters, history)
        raise
    return Training(parameters, history)


def _asks_to_stop(callback: Callback, epoch: Epoch) -> bool:
    answer = callback(epoch)
    if answer is None or isinstance(answer, bool):
        return bool(answer)
    raise TypeError(
        f"callback {callback!r} returned {answer!r}, expected True to stop training, else None"
    )


def _as_callbacks(callbacks: Any) -> tuple[Callback, ...]:
    """Return the callbacks, or refuse what cannot be called."""
    if not isinstance(callbacks, list | tuple) or not all(map(callable, callbacks)):
        raise TypeError(f"callbacks is {callbacks!r}, expected a list of functions of an Epoch")
    return tuple(callbacks)


def _check_kinds(mlp: Any, backend: Any, optimizer: Any, dtype: Any) -> None:
    """Raise for a name or a class in place of an instance, and for other dtypes."""
    if not isinstance(mlp, MLP):
        raise TypeError(f"mlp is {mlp!r}, expected one such as MLP([784, 100, 10])")
    if not hasattr(backend, "xp") or isinstance(backend, type):
        raise TypeError(f"backend is {backend!r}, expected one such as get_backend('numpy')")
    if optimizer is not None and not isinstance(optimizer, AnyOptimizer):
        raise TypeError(f"optimizer is {optimizer!r}, expected one such as SGD(0.1)")
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype is {dtype!r}, expected 'float32' or 'float64'")


def _check_start(mlp: MLP, parameters: Parameters, examples: Examples) -> None:
    """Refuse parameters that the examples cannot train."""
    check_parameters(mlp, parameters)
    W = parameters[0]["W"]
    common_namespace(parameters=W, inputs=unwrapped(examples.inputs[:1, ...]))
    if W.dtype != examples.dtype:
        raise ValueError(
            f"parameters are {W.dtype}, but dtype is {dtype_name(examples.dtype)}; "
            "ask for the parameters' own, or convert them with xp.astype"
        )
