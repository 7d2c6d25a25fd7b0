"""Compiled steps: equal within the bound, compiled once a size, none where bits are promised."""

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, get_backend
from pluggable_mlp.arithmetic import ARITHMETICS
from pluggable_mlp.consistency import part_of_bound
from pluggable_mlp.network.philox import random_numbers
from pluggable_mlp.randomness import permutation
from pluggable_mlp.training.batches import Examples
from pluggable_mlp.training.loop import training_epochs
from pluggable_mlp.training.optimizers import LBFGS, Adam, make_optimizer
from pluggable_mlp.training.placed_steps import make_placed_step
from pluggable_mlp.training.steps import Model, first_model
from pluggable_mlp.training.train import make_examples
from pluggable_mlp.training.trees import map_arrays
from tests.consistency.libraries import BoundedLibrary, native
from tests.training.compilers import Noting, Uncompiled

NUMPY = get_backend("numpy")
COUNT, BATCH, SEED = 16, 6, 5  # batches of 6, 6 and 4

# Networks, optimizers, and what the examples have: each thing at least once.
CASES = {
    "plain": ({}, ("sgd", {}), ""),
    "schedule": ({}, ("sgd", {"learning_rate": lambda step: 0.1 / (1 + step)}), "order"),
    "momentum": ({}, ("sgd", {"momentum": 0.9, "nesterov": True, "clip_norm": 0.1}), "weights"),
    "adam": ({"dropout": 0.5, "norm": "layer"}, ("adam", {"clip_norm": 0.1}), "order"),
    "adamw": ({}, ("adamw", {"average": 0.9}), "order pixels"),
    "rmsprop": ({"norm": "batch", "dropout": 0.25}, ("rmsprop", {"weight_decay": 0.01}), "order"),
    "muon": ({}, ("muon", {}), "weights order"),
}


@pytest.fixture
def compiler():
    """A backend that compiles, noted."""
    pytest.importorskip("jax")
    return Noting(get_backend("jax"))


def examples_on(place, has, dtype):
    """Examples: inputs (16, 3) and labels of two classes, the same on every library."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(COUNT, 3)).astype(dtype)
    pixels = rng.integers(1, 256, size=(COUNT, 3)).astype(np.uint8)
    x, scale = (pixels, 1 / 256) if "pixels" in has else (x, None)
    weights = rng.uniform(0.5, 2.0, size=COUNT).astype(dtype) if "weights" in has else None
    labels = place.asarray(rng.integers(0, 2, size=COUNT))
    weights = None if weights is None else place.asarray(weights)
    return Examples(place.asarray(x), labels, getattr(place.xp, dtype), scale, weights)


def step_on(place, mlp, optimizer, examples):
    """A step that takes a model from the host: (model, order, start, number) -> all it returns."""
    take_step = make_placed_step(
        mlp,
        optimizer,
        examples,
        backend=place,
        arithmetic=native(place),
        batch_size=BATCH,
        seed=SEED,
    )

    def step(model, order, start, number):
        (trained, statistics, trees), numbers = model.arrays, model.state.numbers
        trained, statistics = (map_arrays(place.asarray, tree) for tree in (trained, statistics))
        trees = {name: map_arrays(place.asarray, tree) for name, tree in trees.items()}
        order = None if order is None else place.asarray(order)
        return take_step(Model.of((trained, statistics, trees), numbers), order, start, number)

    return step


def named(loss, weight, model):
    """All arrays that a step returns, by name."""
    trained, statistics, trees = model.arrays
    found = {"loss": loss} if weight is None else {"loss": loss, "weight": weight}
    for kind, tree in {"trained": trained, "statistics": statistics, **trees}.items():
        for index, layer in enumerate(tree):
            found |= {f"{kind} {index} {name}": array for name, array in layer.items()}
    return found


def model_under_way(mlp, optimizer, dtype):
    """Nothing is known of m / sqrt(v) where rounding decides whether v is 0: none is."""
    rng = np.random.default_rng(2)
    start = mlp.initialize(seed=1, backend=NUMPY, dtype=dtype)
    first = first_model(mlp, start, optimizer, native(NUMPY))
    trained, statistics, trees = first.arrays

    def some(array):
        return rng.uniform(0.5, 1.0, size=array.shape).astype(dtype)

    trees = {name: map_arrays(some, tree) for name, tree in trees.items()}
    return Model.of((trained, statistics, trees), first.state.numbers)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_compiled_steps_are_within_the_bound(name, dtype, compiler):
    """Two epochs; every step starts where the one of NumPy, uncompiled, does."""
    network, (kind, settings), has = CASES[name]
    mlp = MLP([3, 8, 4, 2], activation="tanh", **network)
    optimizer = make_optimizer(kind, **settings)
    ours, compiled, bounded = (
        step_on(place, mlp, optimizer, examples_on(place, has, dtype))
        for place in (NUMPY, compiler, BoundedLibrary(dtype))
    )
    model = model_under_way(mlp, optimizer, dtype)
    for number in range(6):
        epoch, place = divmod(number, 3)
        order = permutation(SEED, "shuffle", epoch, COUNT) if "order" in has else None
        at = (order, place * BATCH, number)
        with np.errstate(all="ignore"):  # of bounds
            bounds = named(*bounded(model, *at))
        arrays = named(*compiled(model, *at))
        results = ours(model, *at)
        *_, model = results
        assert arrays.keys() == named(*results).keys()
        for key, expected in named(*results).items():
            array = compiler.to_numpy(arrays[key])
            assert array.dtype == np.dtype(dtype), key
            assert part_of_bound(np.asarray(expected), array, bounds[key]) <= 1.0, (key, number)
    assert (compiler.given, compiler.runs, compiler.calls) == (2, 2, 6)
