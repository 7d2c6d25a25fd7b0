"""PyTorch's compiler, on the processor: no test here claims to run on a GPU."""

import warnings
from functools import partial

import pytest

from pluggable_mlp import special
from pluggable_mlp.backends import get_backend

torch = pytest.importorskip("torch")

from pluggable_mlp.backends.torch_compile import (  # noqa: E402 (only if it is there)
    CompiledFunction,
    GraphFunction,
)
from pluggable_mlp.backends.torch_tracing import TracedTorchFunction  # noqa: E402


def counted(function):
    """The function, and a list that grows by one at each run of its Python code."""
    runs = []

    def run(*arguments):
        runs.append(arguments)
        return function(*arguments)

    return run, runs


def scaled(tree, factor, start):
    """Of all that a step does: numbers times arrays, integers, a place."""
    rows = start + torch.arange(2)
    return {"y": (tree["x"][rows] * factor, None), "n": [(start & 1) ^ rows]}


def check(compiled):
    x = torch.arange(5.0)
    for start, factor in ((0, 0.5), (1, 0.25), (3, 2.0)):
        result = compiled({"x": x}, factor, start)
        y, nothing = result["y"]
        assert nothing is None
        assert y.dtype == torch.float32
        assert y.tolist() == [start * factor, (start + 1) * factor]
        assert result["n"][0].tolist() == [(start & 1) ^ start, (start & 1) ^ (start + 1)]
    assert x.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def compile_once(compiler):
    """Three calls with other numbers: one graph, one run of the Python code, no fallback."""
    graphs = []
    compile_one = torch.compile

    def counting_graphs(*arguments, **settings):
        graphs.append(settings["backend"])
        return compile_one(*arguments, **settings)

    function, runs = counted(scaled)
    with (
        pytest.MonkeyPatch.context() as patch,
        torch._dynamo.config.patch(error_on_recompile=True),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("error", message=".*cannot compile")
        patch.setattr(torch, "compile", counting_graphs)
        check(CompiledFunction(function, compiler))
    assert len(runs) == 1
    assert graphs == [compiler]


def test_other_numbers_do_not_compile_again():
    compile_once("aot_eager")


def test_functions_that_cannot_be_compiled_run_uncompiled_with_a_warning():
    def failing(graph, inputs):
        raise FileNotFoundError("no Triton here\n\nand much more")

    function, runs = counted(scaled)
    compiled = CompiledFunction(function, failing)
    with pytest.warns(UserWarning, match="cannot compile .* no Triton here$") as caught:
        check(compiled)
    assert len(caught) == 1  # at the first call alone
    assert [arguments[1:] for arguments in runs[1:]] == [(0.5, 0), (0.25, 1), (2.0, 3)]


def test_on_cuda_results_are_no_memory_of_a_graph(monkeypatch):
    """A simulation: each call writes its result to the same memory."""
    memory, modes = torch.zeros(2, 2), []

    def compile_to_graph(traced, *, mode, **_):
        modes.append(mode)
        return lambda *arrays: memory.copy_(traced(*arrays))

    monkeypatch.setattr(torch, "compile", compile_to_graph)
    update = GraphFunction(lambda W, rate, order, x: W - rate * x[order], (0,))
    W, order, x = torch.ones(2, 2), torch.arange(2), torch.ones(2, 2)
    results = [update(W, rate, order, x) for rate in (0.5, 0.25, 0.125)]
    assert [float(result[0, 0]) for result in results] == [0.5, 0.75, 0.875]
    assert modes == ["reduce-overhead"]
    stay = [getattr(each, "_dynamo_static_input_type", None) for each in (W, order, x)]
    assert stay == [None, None, "unguarded"]


def test_an_error_of_the_function_itself_is_raised():
    def faulty(x):
        raise ZeroDivisionError("its own")

    with pytest.warns(UserWarning, match="its own"), pytest.raises(ZeroDivisionError):
        CompiledFunction(faulty)(torch.zeros(1))


def test_the_processor_does_not_compile_and_other_devices_do(monkeypatch):
    backend = get_backend("torch:cpu")
    for used_up in ((), (0,)):
        assert backend.compile(scaled, used_up) is None
    monkeypatch.setattr(backend, "_device", torch.device("meta"))
    assert type(backend.compile(scaled, used_up=(0,))) is CompiledFunction
    monkeypatch.setattr(backend, "_device", torch.device("cuda"))
    assert type(backend.compile(scaled, used_up=(0,))) is GraphFunction
    sigmoid = partial(special.sigmoid, backend.xp)  # tracing changes no bit, on any device
    for settings in ({"exact": True, "used_up": (0,)}, {}):
        assert isinstance(backend.compile(sigmoid, **settings), TracedTorchFunction)
