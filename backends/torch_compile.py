"""Functions under `torch.compile`; those that cannot be compiled run as they are."""

import warnings
from typing import ClassVar

import torch
from torch.fx.experimental.proxy_tensor import make_fx

from pluggable_mlp.arrays import Array
from pluggable_mlp.arrays.compiling import Fallback

from .tape import Function, Tree, leaves, map_tree
from .torch_tracing import PythonNumbers, as_tensor


class CompiledFunction:
    """A function that is compiled for each kind of arguments, or runs as it is if that fails.

    `torch.compile` of the function itself would read its Python code, and give up at the first
    line of array-api-compat that asks for a common dtype, so the operations are traced first.

    Parameters
    ----------
    function : callable
        As for `Abilities.compile`.
    compiler : str
        The backend of `torch.compile`; "inductor" needs Triton on a GPU, a C++ compiler otherwise.
    """

    mode: ClassVar[str | None] = None
    """That of `torch.compile`."""

    def __init__(self, function: Function, compiler: str = "inductor") -> None:
        self._function, self._compiler = function, compiler
        self._compiled: dict[str, Function] = {}  # by the kinds of the arguments
        self._fallback = Fallback(
            f"PyTorch {torch.__version__} cannot compile here and goes on operation by operation"
        )

    def __call__(self, *arguments: Tree) -> Tree:
        """Return what the function returns."""
        result = NotImplemented
        if not self._fallback.failed:
            arrays = self.as_arrays(arguments)
            kinds = repr(map_tree(_kind, arrays))
            if kinds in self._compiled:
                return self.run(self._compiled[kinds], arrays)
            result = self._fallback.attempt(self._first_call, arguments, arrays, kinds)
        return self._function(*arguments) if result is NotImplemented else result

    def as_arrays(self, arguments: Tree) -> Tree:
        """Return the arguments with numbers as arrays.

        A Python number would be a constant, and each new one would be compiled anew.
        """
        return map_tree(as_tensor, arguments)

    def run(self, compiled: Function, arrays: Tree) -> Tree:
        """Return the result of compiled code for arguments that are all arrays."""
        return compiled(*arrays)

    def _first_call(self, arguments: Tree, arrays: Tree, kinds: str) -> Tree:
        def function(*tensors: Tree) -> Tree:
            with PythonNumbers(arguments, tensors):
                return self._function(*tensors)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice, such as rounding products to TF32
            traced = make_fx(function)(*arrays)
            compiled: Function = torch.compile(
                traced, backend=self._compiler, mode=self.mode, fullgraph=True, dynamic=False
            )
            result = self.run(compiled, arrays)
        self._compiled[kinds] = compiled
        return result


def _kind(tensor: Array) -> tuple[object, ...]:
    """Return the properties of a tensor that compiled code is specialized on."""
    return tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device


class GraphFunction(CompiledFunction):
    """A function that PyTorch compiles, and repeats by CUDA graphs; untried on a GPU.

    A graph repeats its kernels on the same memory, to which PyTorch first copies the arguments, and
    which has the results until the next call.

    Parameters
    ----------
    function, used_up
        As for `Abilities.compile`.
    """

    mode: ClassVar[str | None] = "reduce-overhead"

    def __init__(self, function: Function, used_up: tuple[int, ...]) -> None:
        super().__init__(function)
        self._used_up = used_up

    def as_arrays(self, arguments: Tree) -> Tree:
        """Return the arguments with numbers on the device; mark the data as staying in place."""
        arrays = super().as_arrays(arguments)
        stay = [tree for place, tree in enumerate(arrays) if place not in self._used_up]
        for array in leaves(stay):
            if array.ndim > 1:  # an order of the examples is a new array in each epoch
                torch._dynamo.mark_static_address(array)
        device = next(array.device for array in leaves(arrays) if array.ndim)
        return map_tree(lambda array: array.to(device, non_blocking=True), arrays)

    def run(self, compiled: Function, arrays: Tree) -> Tree:
        """Return a copy of the result of compiled code."""
        return map_tree(torch.clone, compiled(*arrays))
