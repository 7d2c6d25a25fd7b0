"""Compiled steps of PyTorch as CUDA graphs, on a simulated `torch.cuda`: none ran on a GPU."""

import weakref

import numpy as np
import pytest

from pluggable_mlp import MLP, get_backend, train
from pluggable_mlp.training.optimizers import Adam
from tests.training.compilers import Wrapped

torch = pytest.importorskip("torch")

from pluggable_mlp.backends.torch_compile import CapturedFunction  # noqa: E402 (only if it is there)
from tests.backends.simulated_torch_cuda import SimulatedGraph, simulate_cuda  # noqa: E402

LARGE = 2**18  # rows of more than are copied
CALLS = 14  # more than come before a graph


@pytest.fixture(autouse=True)
def gpu(monkeypatch):
    simulate_cuda(monkeypatch)
    monkeypatch.setattr("pluggable_mlp.backends.graphs.CALLS_BEFORE_CAPTURE", 6)


def step(state, numbers, data, start):
    """A step like those of training: of rows, and of numbers that change."""
    t, rate = numbers
    x = torch.index_select(data, 0, start + torch.arange(4))
    y = x @ state["W"] + state["b"]
    kept = ((t * 2654435761 + torch.arange(3)) & 1).to(y.dtype)
    W = state["W"] - rate * (x.mT @ (y * kept)) * 0.125
    return y.mean(), {"W": W, "b": state["b"] * rate, "n": state["n"]}


def first_state(seed=0):
    torch.manual_seed(seed)
    return {"W": torch.randn(5, 3), "b": torch.randn(3), "n": torch.zeros(())}


def numbers(call):
    return (call, 1.0 / (1 + call)), call % 9


def all_calls(call, data, state=None, function=step, calls=CALLS):
    """Check each call, and afterwards that no later one changed what was given or returned."""
    state, kept = state or first_state(), []
    for number in range(calls):
        rates, start = numbers(number)
        expected = function(state, rates, data, start)
        found = call(state, rates, data, start)
        kept += [(found, expected), ((found[0], state), (found[0], copied(state)))]
        state = found[1]
    for (loss, state), (expected_loss, expected_state) in kept:
        assert torch.equal(loss, expected_loss)
        for name, array in state.items():
            assert torch.equal(array, expected_state[name]), name
    return state


def copied(state):
    return {name: array.clone() for name, array in state.items()}


def test_a_step_is_one_launch_whose_numbers_change():
    call = CapturedFunction(step, (0,))
    all_calls(call, torch.randn(12, 5))
    assert SimulatedGraph.launches == CALLS - 7  # the first one compiles; one was the trial


def test_without_pinned_memory_a_step_is_a_graph(monkeypatch):
    def refuse(tensor):
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(torch.Tensor, "pin_memory", refuse)
    all_calls(CapturedFunction(step, (0,)), torch.randn(12, 5))
    assert SimulatedGraph.launches > 0


def test_other_data_are_another_graph_and_these_are_not_kept():
    call, data = CapturedFunction(step, (0,)), torch.randn(LARGE, 5)
    all_calls(call, data)
    before = SimulatedGraph.launches
    other = torch.randn(LARGE, 5)
    all_calls(call, other)
    assert SimulatedGraph.launches > before
    before, memory = SimulatedGraph.launches, weakref.ref(other)
    all_calls(call, data, calls=3)
    assert SimulatedGraph.launches == before
    del other
    assert memory() is None


def test_a_step_that_replaces_much_is_no_graph():
    """Copying it in and out takes longer than the launches that are saved."""

    def scaled(state, numbers, data, start):
        return data[0, 0], {"W": state["W"] * numbers[1]}

    call, state = CapturedFunction(scaled, (0,)), {"W": torch.ones(2**22 + 1)}
    for number in range(9):
        call(state, (number, 0.5), torch.ones(1, 1), 0)
    assert SimulatedGraph.launches == 0


def fails(monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", refuse)


def reads(monkeypatch):
    def compiled(traced, **_):
        def run(state, *others):
            float(state["b"][0])
            return traced(state, *others)

        return run

    monkeypatch.setattr(torch, "compile", compiled)


def does_nothing(monkeypatch):
    monkeypatch.setattr(SimulatedGraph, "replay", lambda self: None)


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (fails, "out of memory"),
        (reads, "not permitted when stream is capturing"),
        (does_nothing, "other bits"),
    ],
)
def test_what_fails_is_said_and_the_step_goes_on_without(prepare, reason, monkeypatch):
    call = CapturedFunction(step, (0,))
    prepare(monkeypatch)
    with pytest.warns(UserWarning, match=f"without a CUDA graph of a step: .*{reason}") as said:
        all_calls(call, torch.randn(12, 5), calls=2 * CALLS)
    assert len(said) == 1
    assert SimulatedGraph.launches == 0


def test_on_another_stream_steps_are_as_without_graphs():
    call, data = CapturedFunction(step, (0,)), torch.randn(12, 5)
    all_calls(call, data)
    before = SimulatedGraph.launches
    with torch.cuda.stream(torch.cuda.Stream()):
        all_calls(call, data, calls=3)
    assert SimulatedGraph.launches == before


def test_cuda_has_graphs_and_other_devices_have_none(monkeypatch):
    backend = get_backend("torch:cpu")
    for device, kind in (("cuda", "CapturedFunction"), ("meta", "CompiledFunction")):
        monkeypatch.setattr(backend, "_device", torch.device(device))
        assert type(backend.compile(step, used_up=(0,))).__name__ == kind


class OnCuda(Wrapped):
    """PyTorch as on a GPU, but for the code generator."""

    def compile(self, function, used_up=(), *, exact=False, most=1):
        return CapturedFunction(function, used_up) if used_up and not exact and most == 1 else None


@pytest.mark.parametrize("network", [{}, {"dropout": 0.5, "norm": "batch"}])
def test_training_by_graphs_is_that_without(network, monkeypatch):
    monkeypatch.setattr("pluggable_mlp.training.steps.own", lambda xp, name: None)  # no updater
    backend, rng = get_backend("torch"), np.random.default_rng(0)
    x, y = rng.normal(size=(42, 6)).astype("float32"), rng.integers(0, 3, 42)
    settings = {"optimizer": Adam(lambda t: 0.1 / (1 + t)), "epochs": 4, "batch_size": 8}
    found, expected = (
        train(MLP([6, 5, 3], **network), x, y, backend=place, seed=5, **settings).parameters
        for place in (OnCuda(backend), backend)
    )
    for one, other in zip(found, expected, strict=True):
        for name, array in one.items():
            np.testing.assert_allclose(array, other[name], rtol=1e-4, atol=1e-5)
    assert SimulatedGraph.launches == 5 * 4 - 7  # but of the smaller last batch
