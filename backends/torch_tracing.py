"""Tracing of functions of PyTorch tensors.

Operations are recorded below automatic differentiation, where PyTorch's own composites and what
array-api-compat does before them have become single operations.  Values that leave PyTorch without
an operation, as by `numpy()` and `tolist()`, are not seen and would be constants.

PyTorch's own `make_fx` records the same operations, but first imports PyTorch's compiler, which
takes more than a second and 70 MB in the middle of predictions.
"""

from types import BuiltinFunctionType, MethodDescriptorType
from typing import TypeAlias

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pluggable_mlp.arrays import Array
from pluggable_mlp.compiling import Unsuitable

from .tape import Constants, Function, Operation, Place, Tape, Tree, Writer, leaves, map_tree
from .tracing import TracedFunction

_Operation: TypeAlias = torch._ops.OpOverload
_READING = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
"""Tags of operations whose results are numbers, or have shapes that values determine."""


class TracedTorchFunction(TracedFunction):
    """See `TracedFunction`."""

    @staticmethod
    def layout(array: Array, /) -> object:
        """See `TracedFunction`."""
        return array.shape, array.stride(), array.dtype, array.device, array.requires_grad

    def trace(self, arguments: Tree) -> tuple[list[str], Constants]:
        """See `TracedFunction.trace`."""
        tensors = map_tree(as_tensor, arguments)
        flat = leaves(tensors)
        # One tensor may stand for several now.
        if len({*map(id, flat)}) < len(flat) or not all(map(self.is_array, flat)):
            raise Unsuitable
        recorder = _Recorder(arguments, tensors)
        with recorder:
            result = self.function(*tensors)
        places = map_tree(recorder.place_of, result)
        writer, used = Writer(recorder.tape, places), recorder.tape.used(places)
        conversions = [
            f"v{index} = tensor(v{index})"
            for index, leaf in enumerate(leaves(arguments))
            if isinstance(leaf, int | float) and index in used
        ]
        # Within `torch.autocast`, functions round differently than the operations that they call.
        lines = ["if autocast(device): return NotImplemented", *conversions, *writer.lines()]
        return lines, {
            **writer.constants,
            "tensor": as_tensor,
            "autocast": torch.is_autocast_enabled,
            "device": flat[0].device.type,
        }

    def is_array(self, leaf: object) -> bool:
        """See `TracedFunction.is_array`."""
        if not isinstance(leaf, torch.Tensor) or type(leaf) is not torch.Tensor:
            return False
        is_wrapped = torch._C._functorch.is_functorch_wrapped_tensor(leaf)
        return leaf.layout is torch.strided and not is_wrapped

    def to_numpy(self, array: Array) -> Array:
        """See `TracedFunction.to_numpy`."""
        return torch.as_tensor(array).detach().cpu().numpy()


def as_tensor(leaf: Tree) -> Tree:
    """Return a number as a 0-d tensor, which has no part in the promotion of dtypes.

    It stays on the host: kernels receive its value, and nothing waits for a copy.
    """
    if isinstance(leaf, int | float):
        return torch.tensor(leaf, dtype=torch.float64 if isinstance(leaf, float) else torch.int64)
    return leaf


class PythonNumbers(TorchDispatchMode):
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
        numbers = [tensor for leaf, tensor in pairs if isinstance(leaf, int | float)]
        self._numbers = {id(number): number for number in numbers}  # alive, their ids are their own

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return False; else PyTorch imports its compiler first, which takes seconds."""
        return False

    def __torch_dispatch__(
        self, function: _Operation, types: object, args: Tree = (), kwargs: Tree = None
    ) -> Tree:
        """Run an operation, on numbers in the dtype that they take beside the arrays."""
        operands = args, kwargs or {}
        tensors = [leaf for leaf in leaves(operands) if isinstance(leaf, torch.Tensor)]
        arrays = [tensor for tensor in tensors if id(tensor) not in self._numbers]
        if not any(array.ndim for array in arrays):
            dtypes = {array.dtype for array in arrays if array.is_floating_point()}
            if len(dtypes) == 1:
                (dtype,) = dtypes
                operands = map_tree(lambda leaf: self._in_dtype(leaf, dtype), operands)
        result = self.run(function, *operands)
        if tensors and not arrays:
            self._numbers[id(result)] = result
        return result

    def run(self, function: _Operation, args: Tree, settings: dict[str, Tree]) -> Array:
        """Return the result of an operation."""
        return function(*args, **settings)

    def _in_dtype(self, leaf: Tree, dtype: torch.dtype) -> Tree:
        if id(leaf) not in self._numbers or not leaf.is_floating_point() or leaf.dtype == dtype:
            return leaf
        return self.run(torch.ops.aten._to_copy.default, (leaf,), {"dtype": dtype})


class _Recorder(PythonNumbers):
    """Runs every operation and adds it to a tape."""

    def __init__(self, arguments: Tree, tensors: Tree) -> None:
        super().__init__(arguments, tensors)
        self.tape = Tape()
        self._alive = leaves(tensors)  # while they live, their ids and memory are their own
        self._places = {id(tensor): self.tape.add_place() for tensor in self._alive}
        self.tape.argument_count = len(self._alive)
        self._owners = {_memory(tensor): self._places[id(tensor)] for tensor in self._alive}
        # Tensors that no operation may overwrite, as all calls share them.
        self._read_only = {*self._owners}

    def run(self, function: _Operation, args: Tree, settings: dict[str, Tree]) -> Array:
        """Return the result of an operation, and record it."""
        operands = map_tree(self._operand, args), map_tree(self._operand, settings)
        overwritten = map(_memory, _overwritten(function, args, settings))
        if not _READING.isdisjoint(function.tags) or self._read_only.intersection(overwritten):
            raise Unsuitable
        result = function(*args, **settings)
        if not isinstance(result, torch.Tensor):
            raise Unsuitable
        if id(result) not in self._places:
            memory = _memory(result)
            place = self.tape.add_place(self._owners.get(memory))
            self._places[id(result)] = place
            self._owners.setdefault(memory, place)
            self._alive.append(result)
        read = [place.number for place in leaves(operands) if isinstance(place, Place)]
        operation = Operation(_plain(function), *operands, self._places[id(result)], read)
        self.tape.operations.append(operation)
        return result

    def _operand(self, leaf: object) -> object:
        """Return the place of a tensor; copy the function's own, since it may change them."""
        if not isinstance(leaf, torch.Tensor):
            return leaf
        if id(leaf) not in self._places:
            self._read_only.add(_memory(leaf))
            return leaf.clone()
        return self.place_of(leaf)

    def place_of(self, tensor: Array) -> Place:
        """Return the place of an argument or a result."""
        if id(tensor) not in self._places:
            raise Unsuitable  # one of the function's own, which callers would share
        return Place(self._places[id(tensor)])


def _memory(tensor: Array) -> int:
    address: int = tensor.untyped_storage().data_ptr()
    return address


def _overwritten(operation: _Operation, args: Tree, settings: dict[str, Tree]) -> list[Array]:
    """Return the tensors that an operation overwrites."""
    if not operation._schema.is_mutable:
        return []
    arguments = operation._schema.arguments
    values = {argument.name: value for argument, value in zip(arguments, args, strict=False)}
    values |= settings
    overwritten = [
        values.get(argument.name)
        for argument in arguments
        if argument.alias_info is not None and argument.alias_info.is_write
    ]
    return leaves(overwritten)


def _plain(operation: _Operation) -> Function:
    """Return PyTorch's function or method of that name, which is faster to call, or itself."""
    name = operation._schema.name.partition("::")[2]
    named = (getattr(owner, name, None) for owner in (torch, torch._C._nn, torch.Tensor))
    plain = BuiltinFunctionType | MethodDescriptorType
    return next((function for function in named if isinstance(function, plain)), operation)
