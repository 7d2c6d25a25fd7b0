"""The function `train`, which checks its arguments and runs the training loop."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from pluggable_mlp.arrays import Array, LibraryArrays, common_namespace, dtype_name
from pluggable_mlp.arrays.shortcuts import backend_context, in_context
from pluggable_mlp.backends import Backend
from pluggable_mlp.distributed.communicators import Communicator
from pluggable_mlp.fields import Flag, PositiveCount, as_seed, convert
from pluggable_mlp.namespaces import namespace_of, unwrapped
from pluggable_mlp.namespaces.sharded.namespace import ShardedNamespace
from pluggable_mlp.network.checks import check_parameters
from pluggable_mlp.network.members import Networks
from pluggable_mlp.network.mlp import DRAWING, MLP
from pluggable_mlp.network.parameters import Parameters, first_array
from pluggable_mlp.training import sharding
from pluggable_mlp.training.components import AnyOptimizer
from pluggable_mlp.training.divergence import DivergenceError
from pluggable_mlp.training.examples import AnyExamples, Streamed, make_examples
from pluggable_mlp.training.lbfgs import LBFGS
from pluggable_mlp.training.loop import Epoch, epochs_of, training_progress
from pluggable_mlp.training.losses import Loss
from pluggable_mlp.training.optimizers import SGD
from pluggable_mlp.training.step import initial_state
from pluggable_mlp.training.steps import Steps
from pluggable_mlp.training.streaming import in_whole_batches

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

    See Also
    --------
    train

    Examples
    --------
    >>> from pluggable_mlp import MLP, get_backend, train
    >>> result = train(MLP([1, 2]), [[0.0], [1.0]], [0, 1], backend=get_backend("numpy"), epochs=3)
    >>> len(result.history)
    3
    """

    parameters: LibraryArrays
    history: list[Loss]


def train(
    mlp: MLP,
    inputs: Array,
    targets: Array,
    *,
    backend: Backend,
    parameters: Parameters | None = None,
    optimizer: AnyOptimizer | None = None,
    epochs: int = 10,
    batch_size: int = 128,
    dtype: str = "float32",
    arithmetic: str = "native",
    seed: int = 0,
    shuffle: bool = True,
    scale: float | None = None,
    sample_weight: Array | None = None,
    class_weight: object = None,
    callbacks: Sequence[Callback] = (),
    block_size: int | None = None,
    micro_batch: int | None = None,
    communicator: Communicator | None = None,
) -> Training:
    """Train a network on examples with targets.

    Parameters
    ----------
    mlp : MLP
        The network to train.
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
        The dtype of the parameters.
    arithmetic : {"native", "reproducible"}, default "native"
        How operations round.
    seed : int, default 0
        Seed of the initial parameters, shuffles, dropout and noise, from 0 to 2**64 - 1.
    shuffle : bool, default True
        Whether to visit the examples in a new order in each epoch.
    scale : float, optional
        For uint8 inputs, a power of two by which they are multiplied, such as 1/256 for pixels.
    sample_weight : array (examples,), optional
        Weights of the examples, at least 0; the loss of a batch is the weighted average.
    class_weight : "balanced", mapping or sequence, optional
        Factors of the weights of the examples by class; see `class_weights_of_examples`.
    callbacks : sequence of callable, default ()
        Called with the `Epoch` after every epoch, on every process.  If one returns True, training
        stops after all have been called, on all processes.
    block_size : int, optional
        How many examples are on the device at once, rounded down to whole batches; by default all.
        Inputs may then be larger than memory: a memory map, as of `numpy.load(…, mmap_mode="r")`,
        or any object with a shape, a dtype and slices of rows, such as a data set of h5py.  The
        next block is read while one is used.  The order differs from that without blocks; it is the
        same on all backends: see `docs/how-to/data.md`.
    micro_batch : int, optional
        How many examples of a batch to compute at once, if a batch does not fit into memory; by
        default all.  Their gradients add up to that of the whole batch, except for rounding, also
        with dropout and sample_weight.  Batch normalization uses the statistics of each
        micro-batch.  It is refused for members with batches of their own.
    communicator : Communicator, optional
        The processes that each take a part of every batch, such as `MPI()`.  All of them call
        `train` with the same arguments, and return the same result; under `reproducible` it has
        the bits of one process.  By default this process trains alone.

    Returns
    -------
    Training

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit; the message names it, its value and what was expected.
    DivergenceError
        If the loss or the parameters become infinite or NaN; its `reached` is the `Training` before
        that epoch.

    See Also
    --------
    MLPClassifier, MLPRegressor : The same training with scikit-learn's interface.
    sweep : Many networks with settings of their own.

    Examples
    --------
    >>> from pluggable_mlp import MLP, SGD, get_backend, load_dataset, train
    >>> data, backend = load_dataset("digits"), get_backend("numpy")
    >>> mlp = MLP([64, 16, 10], activation="relu")
    >>> result = train(
    ...     mlp, *data.train, scale=data.scale, backend=backend, optimizer=SGD(0.1), epochs=2
    ... )
    >>> len(result.history), result.parameters[0]["W"].shape
    (2, (64, 16))
    """
    arguments = dict(locals())
    check_kinds(mlp, backend, optimizer, dtype, callbacks)
    shuffle = convert("shuffle", shuffle, Flag)
    epochs = convert("epochs", epochs, PositiveCount)
    batch_size = convert("batch_size", batch_size, PositiveCount)
    micro_batch = convert("micro_batch", micro_batch, PositiveCount | None)
    seed = as_seed(seed)
    with backend_context(backend):
        sharding.check_agreement(communicator, backend, arguments)
        examples = make_examples(
            mlp,
            inputs,
            targets,
            block_size=None if block_size is None else in_whole_batches(block_size, batch_size),
            communicator=communicator,
            backend=backend,
            dtype=dtype,
            scale=scale,
            sample_weight=sample_weight,
            class_weight=class_weight,
            arithmetic=arithmetic,
        )
        parameters = _initial(mlp, parameters, examples, backend=backend, seed=seed, dtype=dtype)
        steps = first_steps(
            mlp,
            parameters,
            examples,
            backend=backend,
            optimizer=optimizer or SGD(),
            arithmetic=arithmetic,
            batch_size=batch_size,
            seed=seed,
            micro_batch=micro_batch,
            communicator=communicator,
        )
        order = sharding.order_of_steps(steps, seed if shuffle else None)
        run = training_progress(steps, examples, order=order, epochs=epochs)
    # Callbacks run outside of the context.
    results = in_context(partial(backend_context, backend), epochs_of(run))
    return _trained(results, parameters, callbacks, communicator)


def first_steps(
    mlp: MLP,
    parameters: Parameters,
    examples: AnyExamples,
    *,
    backend: Backend,
    optimizer: AnyOptimizer,
    arithmetic: str,
    batch_size: int,
    seed: int,
    micro_batch: int | None = None,
    communicator: Communicator | None = None,
) -> Steps:
    """Return the steps of a training that begins with these parameters, and leaves them unchanged.

    The arguments are those of `train`, already checked.

    Raises
    ------
    ValueError
        As for `check_optimizer`; or if there are fewer examples than processes, or micro-batches
        for members with batches of their own.
    """
    check_optimizer(mlp, parameters, optimizer, len(examples), batch_size)
    if micro_batch is not None and mlp.own_batches:
        raise ValueError(
            f"micro_batch is {micro_batch}, expected None: members have batches of their own; "
            "take a smaller batch_size"
        )
    xp = namespace_of(arithmetic, backend)
    if communicator is not None:
        sharding.check_count("inputs", len(examples), communicator)
        xp = ShardedNamespace(xp, communicator, backend)
    return Steps(
        xp,
        mlp,
        optimizer,
        examples.kind,
        initial_state(xp, mlp, parameters, optimizer),
        backend=backend,
        batch_size=batch_size,
        seed=seed,
        micro_batch=micro_batch,
    )


def check_optimizer(
    mlp: MLP, parameters: Parameters, optimizer: AnyOptimizer, count: int, batch_size: int
) -> None:
    """Raise if an optimizer cannot train these networks with these data and batches.

    Raises
    ------
    ValueError
        If one learning rate or one line search would have to follow the losses of several
        networks; or if the optimizer is L-BFGS and the batches are smaller than the data, or the
        network has dropout, noise, batch normalization or an ensemble of `Networks`.
    """
    _, networks = check_parameters(mlp, parameters)
    if networks and (isinstance(optimizer, LBFGS) or optimizer.follows_losses):
        raise ValueError(
            f"parameters have leading axes {networks}, networks with a loss each: lbfgs and the "
            "schedule plateau follow one loss; train each network alone"
        )
    if not isinstance(optimizer, LBFGS):
        return
    if batch_size < count:
        raise ValueError(
            f"batch_size is {batch_size}, expected at least the {count} examples: "
            "lbfgs takes them all at once"
        )
    changing = [name for name in DRAWING if getattr(mlp, name)]
    if any(mlp.buffers):
        changing.append("norm")
    if isinstance(mlp.ensemble, Networks):  # whose gradients are those of several losses
        changing.append("ensemble")
    if changing:
        name = changing[0]
        raise ValueError(
            f"{name} is {getattr(mlp, name)!r}, and lbfgs needs one and the same loss at every "
            f"evaluation: leave {name} out, or choose another optimizer"
        )


def _trained(
    epochs: Iterator[Epoch],
    parameters: Parameters,
    callbacks: Sequence[Callback],
    communicator: Communicator | None,
) -> Training:
    """Train until the last epoch, or a callback stops; a divergence has the result so far."""
    history: list[Loss] = []
    try:
        for epoch in epochs:
            history.append(epoch.train_loss)
            parameters = epoch.parameters
            answers = [_asks_to_stop(callback, epoch) for callback in callbacks]
            stops = any(answers)
            if communicator is not None:
                stops = any(communicator.all_gather(stops))
            if stops:
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


def check_kinds(
    mlp: object, backend: object, optimizer: object, dtype: object, callbacks: object = ()
) -> None:
    """Raise for a name or a class in place of an instance, and for other dtypes."""
    if not isinstance(mlp, MLP):
        raise TypeError(f"mlp is {mlp!r}, expected one such as MLP([784, 100, 10])")
    if not hasattr(backend, "xp") or isinstance(backend, type):
        raise TypeError(f"backend is {backend!r}, expected one such as get_backend('numpy')")
    if optimizer is not None and not isinstance(optimizer, AnyOptimizer):
        raise TypeError(f"optimizer is {optimizer!r}, expected one such as SGD(0.1)")
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype is {dtype!r}, expected 'float32' or 'float64'")
    if not isinstance(callbacks, list | tuple) or not all(map(callable, callbacks)):
        raise TypeError(f"callbacks is {callbacks!r}, expected a list of functions of an Epoch")


def _initial(
    mlp: MLP,
    parameters: Parameters | None,
    examples: AnyExamples,
    *,
    backend: Backend,
    seed: int,
    dtype: str,
) -> Parameters:
    """Return the initial parameters; refuse given ones that the examples cannot train."""
    if parameters is None:
        return mlp.initialize(seed=seed, backend=backend, dtype=dtype)
    check_parameters(mlp, parameters)
    first = first_array(parameters)
    some = (
        examples.on_device(examples.read([(0, 1)])) if isinstance(examples, Streamed) else examples
    )
    common_namespace(parameters=first, inputs=unwrapped(some.inputs))
    if first.dtype != some.dtype:
        raise ValueError(
            f"parameters are {first.dtype}, but dtype is {dtype_name(some.dtype)}; "
            "ask for the parameters' own, or convert them with xp.astype"
        )
    return parameters
