"""PyTorch's recording namespace, and numbers as tensors for its compilers.

PyTorch's `make_fx` records the operations below automatic differentiation, but first imports
PyTorch's compiler, which takes more than a second and 70 MB in the middle of predictions.
"""

from typing import ClassVar

import torch
from torch.overrides import TorchFunctionMode

from pluggable_mlp.arrays import Array
from pluggable_mlp.arrays.compiling import Unsuitable

from .recording import RecordingNamespace
from .tape import Constants, Function, Layout, Tree, leaves, map_tree
from .tracing import TracedFunction

# That of a property's getter is "__get__".
_DESCRIBING = {
    "__get__", "dim", "is_complex", "is_contiguous", "is_floating_point", "numel", "result_type",
    "size", "stride",
}  # fmt: skip
"""Functions, by their names, that describe a tensor, whatever its values."""


class TorchRecording(RecordingNamespace):
    """The functions of PyTorch."""

    def share_memory(self, x: Array, y: Array) -> bool:
        """See `RecordingNamespace.share_memory`."""
        if not (isinstance(x, torch.Tensor) and isinstance(y, torch.Tensor)):
            return False
        return x.untyped_storage().data_ptr() == y.untyped_storage().data_ptr()

    def layout(self, array: Array) -> Layout:
        """See `RecordingNamespace.layout`; what is differentiated is kept for the gradients."""
        properties = array.shape, array.stride(), array.dtype, array.device
        return None if array.requires_grad else properties


def as_tensor(leaf: Tree) -> Tree:
    """Return a number as a 0-d tensor, which has no part in the promotion of dtypes.

    It stays on the host: kernels receive its value, and nothing waits for a copy.
    """
    if isinstance(leaf, int | float):
        return torch.tensor(leaf, dtype=torch.float64 if isinstance(leaf, float) else torch.int64)
    return leaf


class TracedTorchFunction(TracedFunction):
    """See `TracedFunction`."""

    recording: ClassVar[type[RecordingNamespace]] = TorchRecording
    number: ClassVar[Function | None] = staticmethod(as_tensor)

    @staticmethod
    def layout(array: Array, /) -> object:
        """See `TracedFunction`."""
        return array.shape, array.stride(), array.dtype, array.device, array.requires_grad

    def trace(self, arguments: Tree) -> tuple[list[str], Constants]:
        """See `TracedFunction.trace`."""
        device = next(leaf for leaf in leaves(arguments) if self.is_array(leaf)).device.type
        if torch.is_autocast_enabled(device):
            raise Unsuitable
        lines, constants = super().trace(arguments)
        # Within `torch.autocast`, dtypes differ, and the function's own code may branch on them.
        guard = "if autocast(device): return NotImplemented"
        autocast = torch.is_autocast_enabled
        return [guard, *lines], {**constants, "autocast": autocast, "device": device}

    def is_array(self, leaf: object) -> bool:
        """See `TracedFunction.is_array`."""
        if not isinstance(leaf, torch.Tensor) or type(leaf) is not torch.Tensor:
            return False
        is_wrapped = torch._C._functorch.is_functorch_wrapped_tensor(leaf)
        return leaf.layout is torch.strided and not is_wrapped

    def to_numpy(self, array: Array) -> Array:
        """See `TracedFunction.to_numpy`."""
        return torch.as_tensor(array).numpy(force=True)


class PythonNumbers(TorchFunctionMode):
    """Treats 0-d tensors that replace Python numbers, and results computed from them, as numbers.

    A number takes the dtype of arrays, whereas a 0-d float64 tensor promotes 0-d float32 arrays to
    float64; arrays with axes keep their dtype beside both.

    Parameters
    ----------
    arguments, tensors : tree
        The arguments of a function, and the same with tensors for numbers.
    """

    def __init__(self, arguments: Tree, tensors: Tree) -> None:
        super().__init__()
        pairs = zip(leaves(arguments), leaves(tensors), strict=True)
        # Alive, their ids are their own.
        self._numbers = {id(one): one for leaf, one in pairs if isinstance(leaf, int | float)}

    def __torch_function__(
        self, function: Function, types: object, args: Tree = (), kwargs: Tree = None
    ) -> Tree:
        """Call a function, with numbers in the dtype that they take beside the arrays."""
        operands = args, kwargs or {}
        if function.__name__ in _DESCRIBING:
            result = function(*args, **operands[1])
            if not isinstance(result, torch.Tensor):
                return result
        tensors = [leaf for leaf in leaves(operands) if isinstance(leaf, torch.Tensor)]
        arrays = [tensor for tensor in tensors if id(tensor) not in self._numbers]
        if not any(array.ndim for array in arrays):
            dtypes = {array.dtype for array in arrays if array.is_floating_point()}
            if len(dtypes) == 1:
                (dtype,) = dtypes
                operands = map_tree(lambda leaf: self._in_dtype(leaf, dtype), operands)
        result = function(*operands[0], **operands[1])
        if tensors and not arrays:
            self._numbers[id(result)] = result
        return result

    def _in_dtype(self, leaf: Tree, dtype: torch.dtype) -> Tree:
        if id(leaf) not in self._numbers or not leaf.is_floating_point() or leaf.dtype == dtype:
            return leaf
        return torch.Tensor.to(leaf, dtype)
