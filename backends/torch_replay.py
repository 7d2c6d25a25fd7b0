"""How a function of PyTorch tensors is recorded.

The operations are noted below automatic differentiation, where PyTorch's own composites and what
array-api-compat does before them have become single operations; they run as they were noted
(`recorded.py`).  What leaves PyTorch without an operation, as by `numpy()` and `tolist()`, is not
seen: such values would be constants.
"""

from types import BuiltinFunctionType
from typing import Any

import torch
from torch.fx import Graph
from torch.utils._python_dispatch import TorchDispatchMode

from .recorded import NotRecordedError, RecordedFunction, leaves, map_tree

__all__ = ["Recorded", "as_tensor"]

_READING = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
"""What is said of operations whose results are numbers, or have shapes that values determine."""


class Recorded(RecordedFunction):
    """See `RecordedFunction`."""

    kind = ("shape", "stride()", "dtype", "device", "requires_grad")
    calls_before = 100

    def noted(self, arguments: Any) -> tuple[list[str], dict[str, Any]]:
        """See `RecordedFunction.noted`."""
        originals = leaves(arguments)
        arguments = map_tree(as_tensor, arguments)
        given = leaves(arguments)
        # One tensor may stand for several now.
        if len({*map(id, given)}) < len(given) or not all(map(self.is_array, given)):
            raise NotRecordedError
        notes = _Notes(given)
        with notes:
            result = self.function(*arguments)
        notes.graph.output(map_tree(notes.node_of, result))
        code = notes.graph.python_code("self")
        exec(code.src, code.globals)  # a `GraphModule` would keep its text for good
        inputs = [
            f"tensor(v{index})" if isinstance(leaf, int | float) else f"v{index}"
            for index, leaf in enumerate(originals)
        ]
        # Within `torch.autocast`, functions round otherwise than the operations that they call.
        return [
            "if autocast(device): return NotImplemented",
            f"return forward(None, {', '.join([*inputs, *notes.constants])})",
        ], {
            **notes.constants,
            "tensor": as_tensor,
            "autocast": torch.is_autocast_enabled,
            "device": given[0].device.type,
            "forward": code.globals["forward"],
        }

    def is_array(self, leaf: Any) -> bool:
        """See `RecordedFunction.is_array`."""
        plain = type(leaf) is torch.Tensor and leaf.layout is torch.strided
        return plain and not torch._C._functorch.is_functorch_wrapped_tensor(leaf)

    def host(self, array: Any) -> Any:
        """See `RecordedFunction.host`."""
        return array.detach().cpu().numpy()


def as_tensor(leaf: Any) -> Any:
    """Return a number as a 0-d tensor, which takes no part in the promotion of dtypes.

    It stays on the host: a kernel is given its value, and nothing waits for a copy.
    """
    if isinstance(leaf, int | float):
        return torch.tensor(leaf, dtype=torch.float64 if isinstance(leaf, float) else torch.int64)
    return leaf


class _Notes(TorchDispatchMode):
    """Notes every operation as a node of a graph.

    Attributes
    ----------
    graph : torch.fx.Graph
    constants : dict
        Tensors of the function's own, by the names of the graph's last arguments.
    """

    def __init__(self, given: list[Any]) -> None:
        super().__init__()
        self.graph = Graph()
        self.constants: dict[str, Any] = {}
        self._nodes = {
            id(tensor): self.graph.placeholder(f"v{i}") for i, tensor in enumerate(given)
        }
        self._last_argument = [*self._nodes.values()][-1]
        self._alive = [*given]  # while they live, their ids are their own
        # What no operation may write over, as each call has the same.
        self._others = {_memory(tensor) for tensor in given}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return False: else PyTorch imports its compiler at the first operation, for seconds."""
        return False

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Note an operation, and run it."""
        del types
        settings = kwargs or {}
        operands = map_tree(self._operand, args), map_tree(self._operand, settings)
        written = map(_memory, _written(function, args, settings))
        if _READING & {*function.tags} or self._others.intersection(written):
            raise NotRecordedError
        result = function(*args, **settings)
        node = self.graph.call_function(_plain(function), *operands)
        if not isinstance(result, torch.Tensor):
            raise NotRecordedError
        self._nodes[id(result)] = node
        self._alive.append(result)
        return result

    def _operand(self, leaf: Any) -> Any:
        """Return the node of a tensor; of the function's own a copy: it may change its own."""
        if not isinstance(leaf, torch.Tensor):
            return leaf
        if id(leaf) not in self._nodes:
            name = f"c{len(self.constants)}"
            self.constants[name] = leaf.clone()
            self._others.add(_memory(leaf))
            with self.graph.inserting_after(self._last_argument):
                self._last_argument = self.graph.placeholder(name)
            return self._last_argument
        return self._nodes[id(leaf)]

    def node_of(self, leaf: Any) -> Any:
        """Return the node of a tensor that was given or noted."""
        if id(leaf) not in self._nodes:
            raise NotRecordedError  # the function's own, which callers would share
        return self._nodes[id(leaf)]


def _memory(tensor: Any) -> int:
    address: int = tensor.untyped_storage().data_ptr()
    return address


def _written(operation: Any, args: Any, settings: Any) -> list[Any]:
    """Return the tensors that an operation writes over."""
    arguments = operation._schema.arguments
    given = {argument.name: of for argument, of in zip(arguments, args, strict=False)} | settings
    of_written = [
        given.get(argument.name)
        for argument in arguments
        if argument.alias_info is not None and argument.alias_info.is_write
    ]
    return leaves(of_written)


def _plain(operation: Any) -> Any:
    """Return PyTorch's function of that name, which is called in half the time, if it has one."""
    name = operation._schema.name.partition("::")[2]
    function = getattr(torch, name, None)
    return function if isinstance(function, BuiltinFunctionType) else operation
