"""Updaters of libraries: to other arrays at once, over memory that training owns."""

import functools
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, Adam, get_backend, train
from pluggable_mlp.arrays import shortcuts
from pluggable_mlp.backends.numpy import Updater
from pluggable_mlp.consistency.comparators import part_of_bound
from pluggable_mlp.training.components import OPTIMIZERS, make_optimizer
from pluggable_mlp.training.optimizer import Rule, each_array, kernel_of
from tests.consistency.libraries import BoundedLibrary

NUMPY = get_backend("numpy")
RULES = {name: OPTIMIZERS[name].rule for name in OPTIMIZERS if name != "lbfgs"}
MARKED = {  # those whose rule is elementwise
    **{name: {} for name, rule in RULES.items() if kernel_of(rule) is not None},
    "sgd": {"momentum": 0.9, "nesterov": True},
}
# Joined small ones, one that is cut with something left over, and one that is not cut.
SHAPES = {
    "small and large": [(3, 2), (2,), (600, 450), (5,)],
    "one small": [(600, 450), (7,)],
    "none small": [(2, 30_000)],
}


def arrays_of(shapes, count, dtype):
    rng = np.random.default_rng(3)
    return [[rng.uniform(0.5, 1.0, shape).astype(dtype) for shape in shapes] for _ in range(count)]


def rule_of(optimizer, t, count, xp=NUMPY.xp):
    """The rule at update t of `count` arrays, of which every second one decays."""
    c = optimizer.coefficients_at(t)
    decays = [c.get("decay") if place % 2 == 0 else None for place in range(count)]
    numbers = optimizer.kernel_numbers(c)
    return Rule(partial(optimizer.rule, xp, c), kernel_of(type(optimizer).rule), numbers, decays)


def copies(columns):
    return [[array.copy(order="K") for array in column] for column in columns]


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MARKED)
def test_in_parts_no_bit_differs(name, dtype, shapes):
    optimizer = make_optimizer(name, **MARKED[name])
    w, g, *slots = arrays_of(shapes, 2 + len(optimizer.slots), dtype)
    expected, found = copies([w, *slots]), copies([w, *slots])
    in_parts = Updater()
    for t in range(4):
        rule = rule_of(optimizer, t, len(shapes))
        if t == 2:  # others than those it returned
            found = [[array + 1.0 for array in column] for column in found]
            expected = [[array + 1.0 for array in column] for column in expected]
        expected = each_array(rule, expected[0], g, *expected[1:])
        results = in_parts(rule, found[0], *copies([g]), *found[1:], in_place=t != 1)
        assert (results is None) == (t == 3)  # written over those that it returned
        found = results or found
        for column, other in zip(expected, found, strict=True):
            for array, result in zip(column, other, strict=True):
                assert result.dtype == array.dtype
                np.testing.assert_array_equal(result, array)


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_what_others_hold_is_not_written_over(library, shapes):
    """Neither what was given at first, nor what an update returned."""
    pytest.importorskip(library)
    backend = get_backend(library)
    optimizer = make_optimizer("adamw")
    w, g, *slots = [[*map(backend.asarray, arrays)] for arrays in arrays_of(shapes, 4, "float64")]
    update = shortcuts.own(backend.xp, "updater")(w[0])
    held, before = [], []
    for t in range(3):
        held += [*w, *slots[0], *slots[1]]
        before = [backend.to_numpy(array).copy() for array in held]
        rule = rule_of(optimizer, t, len(shapes), backend.xp)
        w, *slots = update(rule, w, [g_of + 0.0 for g_of in g], *slots, in_place=False)
        for array, expected in zip(held, before, strict=True):
            np.testing.assert_array_equal(backend.to_numpy(array), expected)


def test_what_a_loss_returned_is_not_written_over():
    """In a batch of one, the gradient of a bias is a view of dz, here the targets."""

    def linear(xp, z, targets, sample_weight=None):
        return xp.sum(xp.sum(z * targets, axis=-1), axis=-1), targets

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 400)), rng.normal(size=(4, 100))
    before = y.copy()
    settings = {"batch_size": 1, "shuffle": False, "dtype": "float64", "epochs": 1}
    train(MLP([400, 100], loss=linear), x, y, backend=NUMPY, optimizer=Adam(0.01), **settings)
    np.testing.assert_array_equal(y, before)


@pytest.mark.parametrize("name", ["adam", "adamw"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_fused_adam_of_pytorch_is_within_the_bound(name, dtype):
    pytest.importorskip("torch")
    torch = get_backend("torch")
    optimizer = make_optimizer(name)
    columns = arrays_of(SHAPES["small and large"], 4, dtype)
    bounded = BoundedLibrary(dtype)
    for t in (0, 1, 1000):
        tensors = [[torch.asarray(array.copy()) for array in column] for column in columns]
        found = shortcuts.own(torch.xp, "updater")(tensors[0][0])(
            rule_of(optimizer, t, 4, torch.xp), *tensors, in_place=True
        )
        expected = each_array(rule_of(optimizer, t, 4), *columns)
        bounded_columns = [[bounded.asarray(array) for array in column] for column in columns]
        bounds = each_array(rule_of(optimizer, t, 4, bounded.xp), *bounded_columns)
        for column, mine, bound in zip(expected, found, bounds, strict=True):
            for array, other, limit in zip(column, mine, bound, strict=True):
                assert part_of_bound(array, torch.to_numpy(other), limit) <= 1.0


def trained(backend, optimizer, *, batch_size=3, by_columns=False):
    """The parameters after an epoch of six examples in float64."""
    mlp = MLP([4, 5, 2])
    start = mlp.initialize(seed=1, backend=NUMPY, dtype="float64")
    moved = [{name: backend.asarray(array) for name, array in layer.items()} for layer in start]
    if by_columns:
        for layer in moved:
            layer["W"] = backend.asarray(backend.to_numpy(layer["W"]).T.copy()).T
    x = np.random.default_rng(0).random((6, 4))
    settings = {"epochs": 1, "batch_size": batch_size, "dtype": "float64", "optimizer": optimizer}
    result = train(mlp, x, [0, 1] * 3, parameters=moved, backend=backend, **settings)
    return [backend.to_numpy(array) for layer in result.parameters for array in layer.values()]


@pytest.mark.parametrize("name", ["adam", "adamw", "lion"])
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_parameters_by_columns_train_as_those_by_rows(library, name):
    """As `torch.nn.Linear.weight.T`."""
    pytest.importorskip(library)
    optimizer = make_optimizer(name, learning_rate=0.01)
    expected = trained(NUMPY, optimizer)
    for array, found in zip(
        expected, trained(get_backend(library), optimizer, by_columns=True), strict=True
    ):
        np.testing.assert_allclose(found, array, rtol=1e-6)


@dataclass(frozen=True)
class Forgetful(Adam):
    """An Adam by name, of which each update makes zeros."""

    def rule(self, xp, c, w, g, *slots):
        return (w * 0.0, *slots)


@dataclass(frozen=True)
class Wrapping(Adam):
    """One whose rule is made to look like Adam's."""

    @functools.wraps(Adam.rule)
    def rule(self, xp, c, w, g, *slots):
        return (w * 0.0, *slots)


@dataclass(frozen=True)
class Normalized(SGD):
    """Steps along g / |g|, with the norm of each array."""

    def rule(self, xp, c, w, g, *slots):
        return (w - g / xp.sqrt(xp.sum(g * g)) * c["rate"], *slots)


@pytest.mark.parametrize("library", ["numpy", "torch", "array_api_strict"])
@pytest.mark.parametrize(
    "optimizer", [Forgetful(), Wrapping(), Normalized(0.1, momentum=0.9), Normalized(0.1)], ids=repr
)
def test_a_subclass_is_taken_at_its_own_rule(optimizer, library):
    pytest.importorskip(library)
    start = MLP([4, 5, 2]).initialize(seed=1, backend=NUMPY, dtype="float64")
    arrays = [array for layer in start for array in layer.values()]
    moved = trained(get_backend(library), optimizer, batch_size=6)
    for before, after in zip(arrays, moved, strict=True):
        if isinstance(optimizer, Forgetful | Wrapping):
            assert not after.any()
        else:
            assert abs(np.linalg.norm(after - before) - 0.1) < 1e-9


@dataclass(frozen=True)
class LateBiases(Adam):
    """Adam that leaves the biases as they are in the first update."""

    def coefficients(self, t, rate):
        return {**super().coefficients(t, rate), "late": float(t > 0)}

    def update(self, before):
        updated, slots = super().update(before)
        if not before[1]["late"]:
            updated = [{**new, "b": old["b"]} for new, old in zip(updated, before[2], strict=True)]
        return updated, slots


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_what_an_optimizer_hands_back_is_not_written_over_later(library):
    pytest.importorskip(library)
    backend, mlp = get_backend(library), MLP([3, 4, 2])
    initial = mlp.initialize(seed=0, backend=backend)
    before = [backend.to_numpy(layer["b"]).tolist() for layer in initial]
    inputs, labels = np.random.default_rng(0).standard_normal((40, 3)), np.arange(40) % 2
    settings = {"optimizer": LateBiases(0.1), "batch_size": 8, "epochs": 1}
    trained = train(mlp, inputs, labels, backend=backend, parameters=initial, **settings)
    assert [backend.to_numpy(layer["b"]).tolist() for layer in initial] == before
    assert backend.to_numpy(trained.parameters[0]["b"]).tolist() != before[0]
