"""Functions that PyTorch traces: the same bits, what a program depends on, and what has none."""

from collections import namedtuple
from functools import partial

import numpy as np
import pytest

from pluggable_mlp import MLP, HuberLoss, get_backend, special
from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.network.losses import LOSSES
from tests.backends import counting

torch = pytest.importorskip("torch")

from pluggable_mlp.backends.torch_tracing import TracedTorchFunction  # noqa: E402

TORCH = get_backend("torch")
NETWORKS = {
    **{name: {"activation": name} for name in ACTIVATIONS},
    "norm layer": {"norm": "layer"},
    "norm batch and dropout": {"norm": "batch", "dropout": 0.5},
    **{f"loss {name}": {"loss": name} for name in LOSSES},
    "huber": {"loss": HuberLoss(delta=0.1)},
}


counted = partial(counting.counted, TracedTorchFunction, xp=TORCH.xp)
as_traced = partial(counting.traced, TracedTorchFunction, xp=TORCH.xp)


def numbers(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype("float32"))


@pytest.mark.parametrize("of", ["logits", "predict"])
@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_a_prediction_has_the_same_bits(network, of, monkeypatch):
    mlp = MLP([5, 8, 6, 3], **network)
    parameters, others = (mlp.initialize(seed=seed, backend=TORCH) for seed in (1, 2))
    x = numbers(7, 5)
    expected = [getattr(mlp, of)(each, x) for each in (parameters, others)]

    def fail(*arguments):
        raise AssertionError("not repeated")

    monkeypatch.setattr(special, "affine", fail)
    for each, one in zip((parameters, others), expected, strict=True):
        found = getattr(mlp, of)(each, x.clone())
        assert (type(found), found.dtype, found.stride()) == (type(one), one.dtype, one.stride())
        assert torch.equal(found, one)


def test_it_is_traced_at_the_second_call_and_then_repeated():
    traced, runs = counted(lambda tree: [{"y": tree["x"] * 2, "none": None}, (tree["x"] + 1,)])
    for n in range(1, 6):
        x = numbers(3, seed=n)
        found, (other,) = traced({"x": x, "nothing": None})
        assert found["none"] is None
        assert torch.equal(found["y"], x * 2)
        assert torch.equal(other, x + 1)
    assert len(runs) == 3  # the first call, the second, and its tracing


def test_other_kinds_have_programs_of_their_own():
    traced, runs = counted(lambda x: (x * 2.0).sum(0) + x.mean())
    rows = numbers(4, 3)
    kinds = [rows, rows[:2], rows.T.contiguous().T, rows[::2], rows.double()]
    for x in [kind for kind in kinds for _ in range(3)]:
        assert torch.equal(traced(x), (x * 2.0).sum(0) + x.mean())
    assert len(traced.programs) == len(kinds)
    runs.clear()
    for x in kinds:
        traced(x)
    assert not runs


def repeated(mlp, parameters, x):
    """The prediction, which is traced."""
    for _ in range(4):
        found = mlp.logits(parameters, x)
    function, _ = mlp._predictions.values()  # and its method of known arguments
    assert function.programs
    return found


@pytest.mark.filterwarnings("ignore:torch.asarray")  # once, of what that does with such
@pytest.mark.parametrize("of", ["x", "parameters"])
def test_a_prediction_of_what_is_differentiated_is_as_before(of):
    x, mlp = numbers(4, 5), MLP([5, 8, 3])
    parameters = mlp.initialize(seed=0, backend=TORCH)
    expected = repeated(mlp, parameters, x)
    assert not expected.requires_grad
    given = [x] if of == "x" else [array for layer in parameters for array in layer.values()]
    for array in given:
        array.requires_grad_()
    before = MLP([5, 8, 3]).logits(parameters, x)
    for _ in range(4):
        found = mlp.logits(parameters, x)
        assert torch.equal(found, expected)
        assert found.requires_grad == before.requires_grad
    if found.requires_grad:
        gradients = [torch.autograd.grad(y.sum(), given) for y in (found, before)]
        assert all(map(torch.equal, *gradients))


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_predictions_within_a_mode_and_without_are_the_same(mode):
    x, mlp = numbers(70, 5), MLP([5, 8, 3])
    parameters = mlp.initialize(seed=0, backend=TORCH)
    with mode():
        within = repeated(mlp, parameters, x)
        other = MLP([5, 8, 3])
        assert torch.equal(repeated(other, parameters, x), within)
    assert torch.equal(mlp.logits(parameters, x), within)
    assert torch.equal(repeated(MLP([5, 8, 3]), parameters, x), within)
    with pytest.raises(TypeError, match="None"):
        mlp.logits([{**layer, "b": None} for layer in parameters], x)


TRANSFORMED = {
    "vmap": lambda function, x: torch.vmap(function)(x),
    "grad": lambda function, x: torch.func.grad(lambda row: function(row).sum())(x[0]),
}


@pytest.mark.parametrize("transform", TRANSFORMED.values(), ids=TRANSFORMED)
def test_a_function_is_neither_traced_nor_given_up_within_a_transformation(transform):
    def function(row):
        return row * row + 1.0

    traced, x = as_traced(function), numbers(4, 3)
    for _ in range(4):
        assert torch.equal(transform(traced, x), transform(function, x))
    assert not traced.programs
    for _ in range(3):
        assert torch.equal(traced(x[0]), function(x[0]))
    assert len(traced.programs) == 1
    other = numbers(4, 3, seed=1)
    assert torch.equal(transform(traced, other), transform(function, other))


@pytest.mark.parametrize(
    "call",
    [
        lambda function, x: function(x.to_sparse()).to_dense(),
        lambda function, x: torch.vmap(function)(x[None])[0],
    ],
    ids=["sparse", "vmap"],
)
def test_other_tensors_are_not_traced_and_leave_it_to_plain_ones(call):
    traced = as_traced(lambda x: x * 2.0)
    for _ in range(4):
        assert torch.equal(call(traced, numbers(3)), numbers(3) * 2.0)
    assert not traced.programs
    for _ in range(3):
        assert torch.equal(traced(numbers(3)), numbers(3) * 2.0)
    assert len(traced.programs) == 1


def test_a_program_is_not_for_autocast():
    """There `matmul` gives another dtype, by which Python code may go."""
    function = lambda x: torch.finfo((x @ x[0]).dtype).eps * (x @ x[0])  # noqa: E731
    traced, x = as_traced(function), numbers(8, 8)
    for _ in range(3):
        expected = traced(x)
    assert traced.programs
    with torch.autocast("cpu"):
        assert torch.equal(traced(x), function(x))
    assert torch.equal(traced(x), expected)


def test_nothing_is_traced_within_autocast():
    traced = as_traced(lambda x: x @ x)
    x = numbers(8, 8)
    with torch.autocast("cpu"):
        for _ in range(3):
            assert traced(x).dtype == torch.bfloat16
    for _ in range(3):
        assert torch.equal(traced(x), x @ x)


def looks(x):
    return x * 2.0 if x[0] > 0 else x


def changed(x):
    x += 1.0
    return x * 2.0


def changed_view(x):
    x[1:].mul_(2.0)
    return x + 1.0


def changed_own(x):
    y = x + 1.0
    y[torch.isnan(x)] = 0.0
    return torch.sub(y, x, out=y)


OUTSIDE = torch.ones(3)
Pair = namedtuple("Pair", "x y")
NOT_TRACED = {
    "bool": looks,
    "float": lambda x: x * float(x[1]),
    "index": lambda x: x[: int(x[1])],
    "shape by values": lambda x: x[x > 1.5].sum() / x[x > 1.5].shape[0],
    "equality": lambda x: x * 2.0 if torch.equal(x, x * 1.0) else x,
    "an array of its own that it changes": changed_own,
    "an array of its own": lambda x: (x, OUTSIDE)[1],
    "count by values": lambda x: x + torch.unique_consecutive(x).shape[0],
    "arrays in a named tuple": lambda x: torch.stack(Pair(x, x + 1.0)),
}


@pytest.mark.parametrize("function", NOT_TRACED.values(), ids=NOT_TRACED)
def test_what_cannot_be_traced_runs_as_it_is(function):
    traced, _ = counted(function)
    for n in range(1, 6):
        x = torch.tensor([n, n + 1.0, 3.0])
        before = x.clone()
        found = traced(x)
        assert torch.equal(found, function(x))
        assert torch.equal(x, before)
    assert not traced.programs


@pytest.mark.parametrize("function", [changed, changed_view])
def test_an_argument_that_is_changed_is_changed_once(function):
    traced, x, expected = as_traced(function), numbers(3), numbers(3)
    for _ in range(4):
        assert torch.equal(traced(x), function(expected))
        assert torch.equal(x, expected)


def test_an_array_of_the_function_is_traced():
    traced, runs = counted(lambda x: x * torch.tensor([1.0, 2.0, 3.0]))
    for n in range(4):
        x = numbers(3, seed=n)
        assert torch.equal(traced(x), x * torch.tensor([1.0, 2.0, 3.0]))
    assert len(runs) == 3


def test_an_array_of_the_function_that_is_changed_is_not_traced():
    def function(x):
        own = torch.asarray(np.ones(3, "float32"))  # which shares its memory
        y = x * own
        own += 1.0
        return y + own

    traced = as_traced(function)
    for n in range(4):
        x = numbers(3, seed=n)
        assert torch.equal(traced(x), function(x))
    assert not traced.programs


def test_numbers_are_no_constants_of_a_program():
    traced = as_traced(lambda x, n, m: (x * (0.1 * n - 1.0), (x > m).to(torch.int64) + m))
    x = numbers(3)
    for n, m in [(2.0, 1), (0.3, 0), (0.7, 2), (0.1, -1)]:
        found = traced(x, n, m)
        expected = x * (0.1 * n - 1.0), (x > m).to(torch.int64) + m
        assert all(map(torch.equal, found, expected))
        assert [one.dtype for one in found] == [torch.float32, torch.int64]
    assert traced.programs


def test_numbers_take_the_dtype_of_arrays_without_axes():
    def function(x, n):
        return torch.sum(x) * (0.1 * n), 1.0 / torch.sum(x) + n, n * torch.sum(x) * x

    traced = as_traced(function)
    x = numbers(3)
    for n in (2.0, 0.3, 0.7):
        for found, expected in zip(traced(x, n), function(x, n), strict=True):
            assert found.dtype == torch.float32
            assert torch.equal(found, expected)
    assert traced.programs


def test_arguments_that_are_one_tensor_need_not_be_later():
    traced = as_traced(lambda x, y: x * 2.0 + y)
    x, y = numbers(3), numbers(3, seed=1)
    for _ in range(3):
        assert torch.equal(traced(x, x), x * 2.0 + x)
    assert torch.equal(traced(x, y), x * 2.0 + y)


def test_random_numbers_are_drawn_at_each_call():
    traced = as_traced(lambda x: x + torch.rand(3))
    drawn = [traced(numbers(3)) for _ in range(4)]
    assert not any(torch.equal(one, drawn[0]) for one in drawn[1:])


def test_a_subclass_runs_as_it_is():
    traced = as_traced(lambda x: x * 2.0)
    x = torch.nn.Parameter(numbers(3))
    for _ in range(4):
        assert traced(x).grad_fn is not None
    assert not traced.programs
