"""One compiled step: equal within the bound, and compiled from the same lines."""

from dataclasses import replace

import numpy as np
import pytest

from pluggable_mlp import MLP, get_backend
from pluggable_mlp.consistency import part_of_bound
from pluggable_mlp.network.philox import random_numbers
from pluggable_mlp.randomness import permutation
from pluggable_mlp.training.batch_steps import make_batch_step
from pluggable_mlp.training.batches import Examples
from pluggable_mlp.training.components import make_optimizer
from pluggable_mlp.training.step import initial_state, map_state
from pluggable_mlp.training.trees import map_arrays
from tests.consistency.libraries import BoundedLibrary
from tests.training.compilers import BATCH, COUNT, SEED, compiler_of, examples_on

NUMPY = get_backend("numpy")

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


def step_on(place, mlp, optimizer, examples):
    """A step that takes a state from the host: (state, order, start) -> all it returns."""
    take_step = make_batch_step(
        place.xp,
        mlp,
        optimizer,
        examples,
        backend=place,
        batch_size=BATCH,
        seed=SEED,
    )

    def step(state, order, start):
        order = None if order is None else place.asarray(order)
        # A copy: the step may write over it.
        own = map_state(lambda array: place.asarray(np.array(array)), state)
        return take_step(optimizer, own, replace(examples, order=order), start)

    return step


def named(loss, weight, state):
    """All arrays that a step returns, by name."""
    found = {"loss": loss} if weight is None else {"loss": loss, "weight": weight}
    trees = {"parameters": state.parameters, "buffers": state.buffers, **state.slots}
    for kind, tree in trees.items():
        for index, layer in enumerate(tree):
            found |= {f"{kind} {index} {name}": array for name, array in layer.items()}
    return found


def state_under_way(mlp, optimizer, dtype):
    """Nothing is known of m / sqrt(v) where rounding decides whether v is 0: none is."""
    rng = np.random.default_rng(2)
    start = mlp.initialize(seed=1, backend=NUMPY, dtype=dtype)
    first = initial_state(NUMPY.xp, mlp, start, optimizer)

    def some(array):
        return rng.uniform(0.5, 1.0, size=array.shape).astype(dtype)

    slots = {name: map_arrays(some, tree) for name, tree in first.slots.items()}
    return first._replace(slots=slots)


QUICK = [("jax", name, "float32") for name in CASES]
QUICK += [("jax", "adam", "float64"), ("torch", "schedule", "float32")]
SLOW = [
    pytest.param(library, name, dtype, marks=pytest.mark.slow)
    for library in ("jax", "torch")
    for name in CASES
    for dtype in ("float32", "float64")
    if (library, name, dtype) not in QUICK
]


@pytest.mark.parametrize(("library", "name", "dtype"), [*QUICK, *SLOW])
def test_compiled_steps_are_within_the_bound(library, name, dtype):
    """Two epochs; every step starts where the one of NumPy, uncompiled, does."""
    compiler = compiler_of(library)
    network, (kind, settings), has = CASES[name]
    mlp = MLP([3, 8, 4, 2], activation="tanh", **network)
    optimizer = make_optimizer(kind, **settings)
    ours, compiled, bounded = (
        step_on(place, mlp, optimizer, examples_on(place, has, dtype))
        for place in (NUMPY, compiler, BoundedLibrary(dtype))
    )
    state = state_under_way(mlp, optimizer, dtype)
    for number in range(6):
        epoch, place = divmod(number, 3)
        order = permutation(SEED, "shuffle", epoch, COUNT) if "order" in has else None
        at = (order, place * BATCH)
        with np.errstate(all="ignore"):  # of bounds
            bounds = named(*bounded(state, *at))
        arrays = named(*compiled(state, *at))
        results = ours(state, *at)
        *_, state = results
        assert state.t == number + 1
        assert arrays.keys() == named(*results).keys()
        for key, expected in named(*results).items():
            array = compiler.to_numpy(arrays[key])
            assert array.dtype == np.dtype(dtype), key
            assert part_of_bound(np.asarray(expected), array, bounds[key]) <= 1.0, (key, number)
    assert (compiler.given, compiler.runs, compiler.calls) == (2, 2, 6)


@pytest.mark.parametrize("order", [None, [4, 0, 3, 1, 2]], ids=["as they come", "ordered"])
@pytest.mark.parametrize("size", [2, 5])
def test_a_gathered_batch_is_the_batch(backend, order, size):
    """From a number or a 0-d array, weights and pixels too; size 5 is all there is."""
    data = np.arange(15, dtype=np.uint8).reshape(5, 3), np.arange(5), np.arange(5.0)
    inputs, labels, weights = map(backend.asarray, data)
    order = None if order is None else backend.asarray(order)
    examples = Examples(inputs, labels, backend.xp.float64, 0.25, weights, order)
    for start in range(0, 5, size)[: 5 // size]:
        expected = examples.batch(backend.xp, start, size)
        for place in (start, backend.asarray(start)):
            batch = examples.gathered(backend.xp, place, size)
            for one, other in zip(batch, expected, strict=True):
                assert backend.to_numpy(one).tolist() == backend.to_numpy(other).tolist()
                assert one.dtype == other.dtype


@pytest.mark.parametrize("number", [0, 7, 2**32 + 3])
@pytest.mark.parametrize("library", ["jax", "torch"])
def test_a_compiled_step_draws_the_same_random_numbers(library, number):
    backend = compiler_of(library)
    address = {"seed": 2**63 + 5, "stream": 1, "device": None}

    def draw(step):
        return random_numbers(backend.xp, 20, step=step, **address)

    drawn = backend.compile(draw)(number)
    expected = random_numbers(NUMPY.xp, 20, step=number, **address)
    assert backend.to_numpy(drawn).tolist() == expected.tolist()
