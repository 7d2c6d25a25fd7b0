"""PyTorch's devices without float64, for which the processor stands in.

A `FakeTensorMode` does not suffice: its tensors have no values, and builds of PyTorch for other
devices refuse their `x[0]` and `~x`.  So the tensors here are the processor's, and say that they
are elsewhere.
"""

from functools import cache
from pathlib import Path

import pytest
import torch
import torchgen
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from pluggable_mlp.backends import torch as torch_backend
from pluggable_mlp.backends.torch_compile import CompiledFunction
from pluggable_mlp.backends.torch_tracing import PythonNumbers, TracedTorchFunction

TABLE = Path(torchgen.__file__).with_name("packaged") / "ATen/native/native_functions.yaml"


@cache
def operators_without_kernel():
    """The operators that PyTorch does not compute on Apple's GPUs, by its own table."""
    yaml = pytest.importorskip("yaml")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    lines = yaml.load(TABLE.read_text(), loader)
    lines = {line["func"].partition("(")[0]: line for line in lines}
    kernels = {
        name: lines[line.get("structured_delegate", name)].get("dispatch", {"Composite": name})
        for name, line in lines.items()
    }
    return {
        f"aten::{name}" for name, places in kernels.items()
        if not any("MPS" in place or place.startswith("Composite") for place in places)
    }  # fmt: skip


class OperatorsOfMPS(TorchDispatchMode):
    """Refuses other operators, as PyTorch does."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.name() in operators_without_kernel():
            raise NotImplementedError(f"{function.name()} is not implemented for the MPS device")
        return function(*args, **kwargs or {})


class Tensor(torch.Tensor):
    """A tensor of the processor that says that it is on `place`, and is never of float64."""

    place = None
    is_cpu = False

    @property
    def device(self):
        return self.place

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        leaves = tree_leaves((args, kwargs))
        named = [leaf.type for leaf in leaves if isinstance(leaf, torch.device)]
        is_here = any(isinstance(leaf, cls) for leaf in leaves)
        others = [leaf for leaf in leaves if type(leaf) is torch.Tensor]
        if is_here and not named and any(other.ndim for other in others):
            raise RuntimeError("Expected all tensors to be on the same device")
        if named or function is torch.Tensor.numpy:
            is_here = named[:1] == [cls.place.type]
        there = tree_map_only(torch.device, lambda _: torch.device("cpu"), (args, kwargs or {}))
        with torch._C.DisableTorchFunctionSubclass(), OperatorsOfMPS():
            result = function(*there[0], **there[1])
        return tree_map_only(torch.Tensor, cls._of, result) if is_here else result

    @classmethod
    def _of(cls, tensor):
        if tensor.dtype in (torch.float64, torch.complex128):
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return tensor if type(tensor) is cls else tensor.as_subclass(cls)


class Creation(TorchFunctionMode):
    """Lets functions that take a device, such as `torch.asarray`, return a `Tensor`."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        leaves = tree_leaves((args, kwargs))
        named = {leaf.type for leaf in leaves if isinstance(leaf, torch.device)}
        if Tensor in types or Tensor.place.type in named:
            return Tensor.__torch_function__(function, types, args, kwargs)
        return function(*args, **kwargs or {})


class Uncompiled(CompiledFunction):
    """What `torch.compile` reads: numbers are tensors of float64 on the host."""

    def _first_call(self, arguments, arrays, kinds):
        with PythonNumbers(arguments, arrays):
            return self._function(*arrays)


def stand_in(monkeypatch, kind):
    """Return the mode in which PyTorch has one accelerator, of this kind."""
    place = torch.device(kind, 0)
    monkeypatch.setattr(Tensor, "place", place)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device(kind))
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.get_device_module(place), "device_count", lambda: 1)
    monkeypatch.setattr(torch_backend, "CompiledFunction", Uncompiled)
    kinds = torch.Tensor, Tensor
    monkeypatch.setattr(TracedTorchFunction, "is_array", lambda _, leaf: type(leaf) in kinds)
    return Creation()
