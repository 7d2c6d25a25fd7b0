"""Tracing of functions of PyTorch tensors.

The calls of PyTorch's own functions and methods are recorded, those of array-api-compat among them.
A shape that values determine by a function not listed here would be a constant.

PyTorch's `make_fx` records the operations below automatic differentiation, but first imports
PyTorch's compiler, which takes more than a second and 70 MB in the middle of predictions.
"""

import re
from functools import partial

import torch
from torch.overrides import TorchFunctionMode

from pluggable_mlp.arrays import Array
from pluggable_mlp.compiling import Unsuitable

from .tape import Constants, Function, Operation, Place, Tape, Tree, Writer, leaves, map_tree
from .tracing import TracedFunction

# Functions by their names; that of a property's getter is "__get__".
_DESCRIBING = {
    "__get__", "dim", "is_complex", "is_contiguous", "is_floating_point", "numel", "result_type",
    "size", "stride",
}  # fmt: skip
"""Functions that describe a tensor, whatever its values; of getters, some return tensors."""
_READING = {
    "argwhere", "bincount", "masked_select", "nonzero", "one_hot", "repeat_interleave", "unique",
    "unique_consecutive",
}  # fmt: skip
"""Functions that return tensors whose shapes depend on values."""
_OVERWRITING = re.compile(r".*[^_]_|__set(item)?__|__i(?!n(dex|t|vert)__|ter__)\w+__")
"""Functions that overwrite their first argument."""


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
        with _Recorder(arguments, tensors) as recorder:
            result = self.function(*tensors)
        places = map_tree(recorder.place_of, result)
        writer = Writer(recorder.tape, places)
        conversions = [
            f"v{index} = tensor(v{index})"
            for index, leaf in enumerate(leaves(arguments))
            if isinstance(leaf, int | float) and index in writer.used
        ]
        # Within `torch.autocast`, dtypes differ, and the function's own code may branch on them.
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
        return torch.as_tensor(array).numpy(force=True)


def as_tensor(leaf: Tree) -> Tree:
    """Return a number as a 0-d tensor, which has no part in the promotion of dtypes.

    It stays on the host: kernels receive its value, and nothing waits for a copy.
    """
    if isinstance(leaf, int | float):
        return torch.tensor(leaf, dtype=torch.float64 if isinstance(leaf, float) else torch.int64)
    return leaf


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
        result = self.run(function, *operands)
        if tensors and not arrays:
            self._numbers[id(result)] = result
        return result

    def run(self, function: Function, args: Tree, settings: dict[str, Tree]) -> Tree:
        """Return the result of a function."""
        return function(*args, **settings)

    def _in_dtype(self, leaf: Tree, dtype: torch.dtype) -> Tree:
        if id(leaf) not in self._numbers or not leaf.is_floating_point() or leaf.dtype == dtype:
            return leaf
        return self.run(torch.Tensor.to, (leaf, dtype), {})


class _Recorder(PythonNumbers):
    """Calls every function and adds it to a tape."""

    def __init__(self, arguments: Tree, tensors: Tree) -> None:
        super().__init__(arguments, tensors)
        self.tape = Tape()
        self._alive = leaves(tensors)  # while they live, their ids and memory are their own
        self._places = {id(tensor): Place(self.tape.add_place()) for tensor in self._alive}
        self.tape.argument_count = len(self._alive)
        self._owners = {_memory(tensor): self.place_of(tensor).number for tensor in self._alive}
        # Tensors that no operation may overwrite, as all calls share them.
        self._read_only = {*self._owners}

    def run(self, function: Function, args: Tree, settings: dict[str, Tree]) -> Tree:
        """Return the result of a function, and record it."""
        name, target = function.__name__, None
        places: list[Place] = []
        operands, named = map_tree(partial(self._operand, places), (args, settings))
        if "out" in settings or _OVERWRITING.fullmatch(name):
            target = settings.get("out", args[0])
            if _memory(target) in self._read_only:
                raise Unsuitable
        returned = function(*args, **settings)
        result = returned if target is None else target
        depends_on_values = name in _READING or (name == "__getitem__" and _has_mask(args[1]))
        if depends_on_values or not isinstance(result, torch.Tensor):
            raise Unsuitable
        if id(result) not in self._places:
            memory = _memory(result)
            number = self.tape.add_place(self._owners.get(memory))
            self._places[id(result)] = Place(number)
            self._owners.setdefault(memory, number)
            self._alive.append(result)
        elif target is None:  # it is an operand, as for `contiguous`
            return returned
        numbers = [place.number for place in places]
        operation = Operation(function, operands, named, self.place_of(result).number, numbers)
        self.tape.operations.append(operation)
        return returned

    def _operand(self, places: list[Place], leaf: object) -> object:
        """Return the place of a tensor; copy the function's own, since it may change them."""
        if not isinstance(leaf, torch.Tensor):
            if isinstance(leaf, tuple | list) and not isinstance(leaf, torch.Size):
                raise Unsuitable  # of a subclass, which may hold tensors
            return leaf
        place = self._places.get(id(leaf))
        if place is None:
            self._read_only.add(_memory(leaf))
            return leaf.clone()
        places.append(place)
        return place

    def place_of(self, tensor: Array) -> Place:
        """Return the place of an argument or a result."""
        if id(tensor) not in self._places:
            raise Unsuitable  # one of the function's own, which callers would share
        return self._places[id(tensor)]


def _memory(tensor: Array) -> int:
    address: int = tensor.untyped_storage().data_ptr()
    return address


def _has_mask(key: Tree) -> bool:
    """Return whether an index contains an array of booleans."""
    return any(isinstance(leaf, torch.Tensor) and leaf.dtype == torch.bool for leaf in leaves(key))
