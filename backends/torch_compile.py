"""Functions under `torch.compile`, with a fallback for those that cannot be compiled."""

import warnings
from typing import Any

import torch
from torch.fx.experimental.proxy_tensor import make_fx

from pluggable_mlp.arrays import Array
from pluggable_mlp.compiling import Fallback

from .tape import Function, Tree, map_tree
from .torch_tracing import as_tensor, called_with_numbers


class CompiledFunction:
    """A function that is compiled for each kind of arguments; where that fails, it runs as it is.

    `torch.compile` of the function itself would read its Python code, and gives up at the first
    line of array-api-compat that asks for a common dtype.  So the operations are traced first.

    Parameters
    ----------
    function : callable
        As `Abilities.compile` wants it.
    compiler : str
        The backend of `torch.compile`; "inductor" needs Triton on a GPU, a C++ compiler otherwise.
    """

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
                return self.run(self._compiled[kinds], arguments, arrays)
            result = self._fallback.attempt(self._first_call, arguments, arrays, kinds)
        return self._function(*arguments) if result is NotImplemented else result

    def as_arrays(self, arguments: Tree) -> Tree:
        """Return the arguments with arrays in place of numbers.

        A Python number would be a constant, and each new one compiled anew.
        """
        return map_tree(as_tensor, arguments)

    def run(self, compiled: Function, arguments: Tree, arrays: Tree) -> Tree:
        """Return what compiled code returns for arguments, of which all are arrays."""
        return compiled(*arrays)

    def _first_call(self, arguments: Tree, arrays: Tree, kinds: str) -> Tree:
        def function(*tensors: Tree) -> Tree:
            return called_with_numbers(self._function, arguments, tensors)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice, such as to round products to TF32
            traced = make_fx(function)(*arrays)
            compiled: Function = torch.compile(
                traced, backend=self._compiler, fullgraph=True, dynamic=False
            )
            result = compiled(*arrays)
        self._compiled[kinds] = compiled
        return result


def _kind(tensor: Array) -> tuple[Any, ...]:
    """Return the properties of a tensor that compiled code is specialized on."""
    return tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device
