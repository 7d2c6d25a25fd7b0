"""CUDA graphs of PyTorch, simulated on the processor: streams, captures, and what raises in one.

Operations on a stream that is captured are recorded and not done: results have no values.  Reading
one raises (`torch/csrc/cuda/Graph.h`, and CUDA's rules of captures).  A graph does the same
operations to the same memory again.
"""

import weakref
from contextlib import contextmanager, nullcontext

import pytest

torch = pytest.importorskip("torch")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402 (only if it is there)
from torch.utils._pytree import tree_leaves, tree_map  # noqa: E402

__all__ = ["SimulatedGraph", "simulate_cuda"]


class SimulatedGraph:
    """A graph, and how many there were launches of all."""

    launches = 0

    def __init__(self):
        self.operations = []

    @torch.no_grad()
    def replay(self):
        SimulatedGraph.launches += 1
        for function, operands, results in self.operations:
            args, settings = tree_map(found_again, operands)
            found = function(*args, **settings)
            for target, new in zip(results, tensors(found), strict=True):
                if memory(target) not in map(memory, tensors((args, settings))):
                    target.data.copy_(new)


class Capture(TorchDispatchMode):
    """What is called while a stream is captured."""

    def __init__(self, graph, *, capture_error_mode="global"):
        super().__init__()
        self.graph, self.mode, self.made = graph, capture_error_mode, set()

    def __torch_dispatch__(self, function, types, args=(), settings=None):
        settings = settings or {}
        if torch.Tag.data_dependent_output in function.tags:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        inputs = tensors((args, settings))
        before = [tensor.clone() for tensor in inputs]
        result = function(*args, **settings)
        for tensor, values in zip(inputs, before, strict=True):
            if not torch.equal(tensor, values):
                tensor.data.copy_(values)  # unseen by automatic differentiation
        for tensor in tensors(result):
            if memory(tensor) not in map(memory, inputs):
                tensor.data.fill_(torch.nan if tensor.is_floating_point() else 1)
                self.made.add(memory(tensor))
        operands = tree_map(self.referred_to, (args, settings))
        self.graph.operations.append((function, operands, tensors(result)))
        return result

    def referred_to(self, leaf):
        """Return a reference to memory that is not the graph's, which does not keep it."""
        is_own = not isinstance(leaf, torch.Tensor) or memory(leaf) in self.made
        return leaf if is_own else weakref.ref(leaf)


def found_again(leaf):
    if not isinstance(leaf, weakref.ref):
        return leaf
    if leaf() is None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    return leaf()


def tensors(tree):
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def memory(tensor):
    return tensor.untyped_storage().data_ptr()


class Stream:
    """A stream: all is done at once."""

    def wait_stream(self, stream):
        pass


DEFAULT = Stream()


def simulate_cuda(monkeypatch):
    """Let the processor be a GPU that has graphs, without a code generator."""
    current = [DEFAULT]

    @contextmanager
    def using(stream):
        current.append(stream)
        yield
        current.pop()

    fakes = {
        "CUDAGraph": SimulatedGraph,
        "Stream": Stream,
        "current_stream": lambda: current[-1],
        "default_stream": lambda: DEFAULT,
        "device": lambda device: nullcontext(),
        "graph": Capture,
        "stream": using,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    monkeypatch.setattr(torch, "compile", lambda traced, **_: traced)
    monkeypatch.setattr(SimulatedGraph, "launches", 0)
