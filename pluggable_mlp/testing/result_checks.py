"""Checks of results: of the arithmetic of a backend's arrays, of training, and of recorded bits.

`recorded_runs.json` has the hashes of the runs in `RUNS`, recorded once: every later machine,
library version or GPU must give these bits.  Recording them anew breaks the promise, and needs a
word in CHANGELOG.md.
"""

import json
import operator
from collections.abc import Callable
from functools import partial
from itertools import cycle
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.arrays.compiling import compiled
from pluggable_mlp.backends import Backend, get_backend
from pluggable_mlp.backends.transfer import HostArray
from pluggable_mlp.consistency.compare import compare
from pluggable_mlp.files.hashing import sha256_of
from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.testing.conformance import (
    Grade,
    NotOffered,
    ability,
    check,
    expect,
    expect_bits,
    floats,
)
from pluggable_mlp.training.components import OPTIMIZERS, make_optimizer
from pluggable_mlp.training.optimizers import SGD, Adam
from pluggable_mlp.training.schedules import make_schedule
from pluggable_mlp.training.step import first_state, training_step
from pluggable_mlp.training.train import train

_RECORDED = Path(__file__).with_name("recorded_runs.json")
_COUNT = 4096


def _hard_numbers(dtype: type, seed: int) -> HostArray:
    """Return numbers of all moderate magnitudes, so that no result for two is out of range."""
    rng = np.random.default_rng(seed)
    powers = rng.integers(-20, 20, _COUNT)
    return np.ldexp(rng.uniform(-1.0, 1.0, _COUNT), powers).astype(dtype)


@check(Grade.RUNS)
def dtype_promotion(backend: Backend) -> None:
    """Results have the dtypes that the standard asks for."""
    xp = backend.xp
    names = {*_PROMOTED} - {*getattr(backend, "missing_dtypes", ())}
    make = {name: backend.asarray([1, 2], dtype=name) for name in names}
    x, scalar = make["float32"], backend.asarray(2.0, dtype="float32")
    cases: dict[str, tuple[Array, str]] = {
        "float32 * a Python number": (x * 2.0, "float32"),
        "1 / float32": (1 / x, "float32"),
        "float32 * float32 without axes": (x * scalar, "float32"),
        "float32 + the widest floats": (x + make[max(names & _FLOATS)], max(names & _FLOATS)),
        "int8 + int16": (make["int8"] + make["int16"], "int16"),
        "uint8 + int16": (make["uint8"] + make["int16"], "int16"),
        "uint8 * a Python integer": (make["uint8"] * 2, "uint8"),
        "float32 @ float32": (x @ x, "float32"),
        "float32 > float32": (x > scalar, "bool"),
        "sum of float32": (xp.sum(x), "float32"),
        "mean of float32": (xp.mean(x), "float32"),
        "max of float32": (xp.max(x), "float32"),
        "exp of float32": (xp.exp(x), "float32"),
        "where of float32": (xp.where(x > 1.0, x, -x), "float32"),
        "astype to int32": (xp.astype(x, xp.int32), "int32"),
    }
    for name, (result, dtype) in cases.items():
        expect(result.dtype == getattr(xp, dtype), f"{name} is {result.dtype}, expected {dtype}")


_FLOATS = {"float32", "float64"}
_PROMOTED = (*_FLOATS, "int8", "int16", "uint8")


@check(Grade.AGREES)
def not_a_number(backend: Backend) -> None:
    """NaN is not lost in sums, maxima, minima, products and comparisons."""
    xp = backend.xp
    x, y = (backend.asarray(data, "float32") for data in ([1.0, np.nan, 2.0], 1.0))
    for name, result in {
        "sum": xp.sum(x),
        "max": xp.max(x),
        "min": xp.min(x),
        "maximum(NaN, 1)": xp.maximum(x, y)[1],
        "minimum(1, NaN)": xp.minimum(y, x)[1],
        "NaN * 0": (x * 0.0)[1],
        "x @ x": x @ x,
        "abs": xp.abs(x)[1],
        "exp": xp.exp(x)[1],
    }.items():
        value = float(backend.to_numpy(result))
        expect(np.isnan(value), f"{name} of [1, NaN, 2] is {value}, expected NaN")
    for name, result in {"NaN == NaN": x == x, "NaN > 1": x > 1.0, "NaN < 1": x < 1.0}.items():  # noqa: PLR0124
        expect(not bool(backend.to_numpy(result)[1]), f"{name} is true")
    flags = backend.to_numpy(xp.isnan(x)).tolist()
    expect(flags == [False, True, False], f"isnan of [1, NaN, 2] is {flags}")


@check(Grade.AGREES)
def rounding_of_operations(backend: Backend) -> None:
    """Sums, differences, products and reciprocals are rounded as IEEE 754 says."""
    for dtype in floats(backend):
        a, b = _hard_numbers(dtype, 1), _hard_numbers(dtype, 2)
        x, y = backend.asarray(a), backend.asarray(b)
        for operation in (operator.add, operator.sub, operator.mul):
            what = f"{operation.__name__} in {np.dtype(dtype)}"
            expect_bits(what, backend.to_numpy(operation(x, y)), operation(a, b))
        expect_bits(f"1 / x in {np.dtype(dtype)}", backend.to_numpy(1.0 / y), 1.0 / b)


def _product_and_sum(xp: Namespace, a: Array, b: Array, c: Array) -> Array:
    """Return a b + c; a backend may compile only functions of this package."""
    return a * b + c


def _expect_no_contraction(backend: Backend, function: Callable[..., Array]) -> None:
    for dtype in floats(backend):
        a, b = _hard_numbers(dtype, 3), _hard_numbers(dtype, 4)
        arrays = [*map(backend.asarray, (a, b, -(a * b)))]
        for _ in range(3):  # some compile at the second call
            actual = backend.to_numpy(function(*arrays))
            expect_bits(f"a * b + c in {np.dtype(dtype)}", actual, np.zeros_like(a))


@check(Grade.AGREES)
def contracted_products(backend: Backend) -> None:
    """A product is rounded before something is added to it: there is no fused multiply-add."""
    _expect_no_contraction(backend, partial(_product_and_sum, backend.xp))


@check(Grade.SAME_BITS)
def contracted_products_in_exact_functions(backend: Backend) -> None:
    """`compile` with `exact` contracts no product and sum either."""
    function = partial(_product_and_sum, backend.xp)
    compiled = ability(backend, "compile")(function, exact=True)
    if compiled is None:
        raise NotOffered("it compiles nothing exactly")
    _expect_no_contraction(backend, compiled)


# Training


def _two_clusters() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return inputs (40, 2) and labels (40,), which one hidden layer can separate."""
    labels = np.arange(40) % 2
    return np.stack([labels * 2.0 - 1.0, np.linspace(-1.0, 1.0, 40)], axis=1), labels


@check(Grade.RUNS)
def training(backend: Backend) -> None:
    """A network learns to tell two clusters apart."""
    inputs, labels = _two_clusters()
    mlp = MLP([2, 4, 2], activation="tanh")
    history = train(
        mlp, inputs, labels, backend=backend, optimizer=SGD(0.5), epochs=5, batch_size=8, seed=1
    ).history
    first, last = np.asarray(history)[[0, -1]]
    expect(last < first / 2, f"the losses of five epochs are {history}")


@check(Grade.RUNS)
def training_with_every_component(backend: Backend) -> None:
    """Every activation and every optimizer runs, and loses nothing to NaN."""
    inputs, labels = _two_clusters()
    names = [*ACTIVATIONS]
    pairs = [[names[n], names[n - 1]] for n in range(0, len(names), 2)]
    count = max(len(pairs), len(OPTIMIZERS))
    for pair, name, _ in zip(cycle(pairs), cycle(OPTIMIZERS), range(count), strict=False):
        dropout = 0.0 if name == "lbfgs" else 0.1  # a line search has one function
        mlp = MLP([2, 4, 3, 2], activation=[*pair], norm="layer", dropout=dropout)
        optimizer = make_optimizer(name)
        what = f"activations {' and '.join(pair)}, optimizer {name}"
        try:
            trained = train(mlp, inputs, labels, backend=backend, optimizer=optimizer, epochs=2)
        except Exception as error:  # whatever a backend raises
            error.add_note(what)
            raise
        losses = trained.history
        expect(bool(np.all(np.isfinite(losses))), f"{what}: the losses are {losses}")


@check(Grade.AGREES)
def traced_steps(backend: Backend) -> None:
    """Steps that `train` traces have the bits of those that `training_step` takes one by one."""
    if not getattr(backend, "traces", True) or compiled(backend, abs, 0) is not None:
        raise NotOffered("it traces no steps")
    rng, optimizer = np.random.default_rng(0), SGD(0.1)
    inputs, labels = rng.normal(size=(32, 4)).astype(np.float32), rng.integers(0, 3, 32)
    mlp = MLP([4, 6, 3], activation="gelu", norm="layer", dropout=0.2)
    first = mlp.initialize(seed=0, backend=backend)
    found = train(
        mlp,
        inputs,
        labels,
        backend=backend,
        parameters=first,
        optimizer=optimizer,
        batch_size=4,
        shuffle=False,
        epochs=1,
        seed=3,
    )
    state = first_state(mlp, optimizer, first)
    for rows in np.split(np.arange(32), 8):
        x, y = backend.asarray(inputs[rows]), backend.asarray(labels[rows])
        _, state = training_step(mlp, optimizer, state, x, y, seed=3)
    for layer, expected in zip(found.parameters, state.parameters, strict=True):
        for name, array in expected.items():
            expect_bits(f"{name} after 8 steps", *map(backend.to_numpy, (layer[name], array)))


@check(Grade.AGREES)
def steps_within_bounds(backend: Backend) -> None:
    """Losses, gradients and updates lie within the derived bounds around NumPy's."""
    rng = np.random.default_rng(0)
    inputs, labels = rng.standard_normal((96, 7)), rng.integers(0, 3, 96)
    networks = {
        "sigmoid": MLP([7, 9, 3], activation="sigmoid"),
        "gelu, layer normalization": MLP([7, 9, 8, 3], activation="gelu", norm="layer"),
    }
    for name, mlp in networks.items():
        for dtype in (kind.__name__ for kind in floats(backend)):
            report = compare(
                [get_backend("numpy"), backend],
                mlp,
                inputs,
                labels,
                dtype=dtype,
                optimizer=Adam(0.01),
                batch_size=32,
                steps=4,
            )
            worst = max(report.agreements, key=attrgetter("part_of_bound"))
            expect(
                report.passes,
                f"{name} in {dtype}: {worst.tensor} of step {worst.step} differs by "
                f"{worst.part_of_bound:.3g} of its bound ({worst.check})",
            )


# Recorded runs

CASCADE = {"activation": ["tanh", "gelu", "softplus"], "norm": "layer", "dropout": 0.25}


Settings = dict[str, Any]
_IN_BOTH_DTYPES: dict[str, tuple[list[int], Settings, str]] = {
    "sgd, pixels": ([49, 20, 10], {}, "sgd"),
    "rmsprop": ([49, 12, 10], {"activation": "silu"}, "rmsprop"),
    "adagrad": ([49, 12, 10], {"activation": "tanh"}, "adagrad"),
    "adam with a schedule": ([49, 16, 10], {}, "adam"),
    "lion, batch normalization": ([49, 12, 10], {"norm": "batch", "activation": "elu"}, "lion"),
    "lbfgs": ([49, 8, 10], {"activation": "tanh"}, "lbfgs"),
}
_IN_ONE: dict[str, tuple[list[int], Settings, str, Settings]] = {
    "momentum, float32": ([49, 30, 10], {"activation": "relu"}, "sgd", {"momentum": 0.9}),
    "momentum, float64": (
        *([49, 30, 10], {"activation": "relu"}, "sgd"), {"momentum": 0.9, "nesterov": True}
    ),
    "adamw, many components, float32": (
        *([49, 12, 9, 8, 10], CASCADE, "adamw"), {"clip_norm": 1.0, "average": 0.9}
    ),
    "adamw, many components, float64": (
        *([49, 12, 9, 8, 10], CASCADE, "adamw"), {"clip_norm": 1.0, "l1": 0.001}
    ),
    "muon, float32": ([49, 12, 11, 10], {"activation": "gelu_tanh"}, "muon", {}),
    "muon, float64": ([49, 12, 11, 10], {"activation": "leaky_relu"}, "muon", {}),
}  # fmt: skip
RUNS: dict[str, tuple[list[int], Settings, str, Settings]] = {
    f"{name}, {dtype}": (*run, {})
    for name, run in _IN_BOTH_DTYPES.items()
    for dtype in ("float32", "float64")
} | _IN_ONE
"""By name, which ends with the dtype: sizes, fields of the network, optimizer, its parameters."""

STEPS, BATCH = 20, 32


def recorded() -> dict[str, str]:
    """Return the recorded hashes, by the names of the runs."""
    hashes: dict[str, str] = json.loads(_RECORDED.read_text(encoding="utf-8"))
    return hashes


def data(pixels: bool) -> tuple[HostArray, HostArray]:
    """Return inputs (640, 49) and labels (640,) that are the same everywhere.

    Words of a linear congruential generator in integers, without NumPy's generators.
    """
    count = STEPS * BATCH * 49
    words = np.empty(count, dtype=np.uint64)
    word = 2024
    for index in range(count):
        word = (6364136223846793005 * word + 1442695040888963407) % 2**64
        words[index] = word
    inputs = (words >> np.uint64(40)).reshape(-1, 49)  # 24 bits
    labels = (inputs[:, :7] >> np.uint64(21)).sum(axis=1).astype(np.int64) % 10
    if pixels:
        return (inputs >> np.uint64(16)).astype(np.uint8), labels
    return inputs.astype(np.float64) * 2.0**-23 - 1.0, labels


def run(name: str, backend: Backend) -> str:
    """Return the SHA-256 of the mean loss and the parameters after 20 steps on the backend."""
    sizes, network, optimizer, parameters = RUNS[name]
    has_schedule, is_full = "schedule" in name, optimizer == "lbfgs"
    pixels = "pixels" in name or has_schedule
    if has_schedule:
        schedule = make_schedule("cosine", 0.01, total_steps=STEPS, warmup=5)
        parameters = {"learning_rate": schedule}
    trained = train(
        MLP(sizes, **network),
        *data(pixels),
        backend=backend,
        optimizer=make_optimizer(optimizer, **parameters),
        epochs=STEPS if is_full else 1,
        batch_size=STEPS * BATCH if is_full else BATCH,
        dtype=name.rpartition(", ")[2],
        arithmetic="reproducible",
        seed=7,
        scale=1 / 256 if pixels else None,
    )
    loss = trained.history[-1]
    assert isinstance(loss, float)  # of one network
    tensors = [array for layer in trained.parameters for _, array in sorted(layer.items())]
    return sha256_of([loss.hex(), *map(backend.to_numpy, tensors)])


def _has_the_recorded_bits(name: str, backend: Backend) -> None:
    """A reproducible run of 20 steps has the bits that were recorded."""
    actual, expected = run(name, backend), recorded()[name]
    expect(actual == expected, f"the hash is {actual[:12]}…, recorded {expected[:12]}…")


for _name in RUNS:
    _run = partial(_has_the_recorded_bits, _name)
    check(Grade.SAME_BITS, f"recorded run: {_name}", in_context=False)(_run)
