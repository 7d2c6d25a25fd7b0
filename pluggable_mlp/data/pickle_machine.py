"""The machine that reads a pickle of NumPy arrays as data, without unpickling.

`pickle` may run what a file names, and CPython's unpickler may fill the memory from a file of
ten bytes (https://github.com/python/cpython/issues/115952; Python 3.15 mends it).  Here a small
machine knows three NumPy names, `_reconstruct`, `ndarray` and `dtype`, which stand for records
of this module.  Nothing that a file names is looked up, imported or called; every other name is
refused.

Which operations move the machine belongs in `opcodes.py`.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array

__all__ = ["MOST_ARRAYS", "Machine", "Mark", "NDArray"]

MOST_ARRAYS = 6
MOST_AXES = 4

ADMITTED = {
    "numpy.core.multiarray _reconstruct": "_reconstruct",
    "numpy._core.multiarray _reconstruct": "_reconstruct",
    "numpy ndarray": "ndarray",
    "numpy dtype": "dtype",
}
DTYPES = {"f4", "f8", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"}


class Mark:
    """Where on the stack a tuple or a list begins."""


@dataclass
class _Name:
    name: str


@dataclass
class _DType:
    code: str
    byte_order: str = "="

    def build(self, state: Any) -> None:
        self.byte_order = state[1] if state[1] in ("<", ">") else "="


@dataclass
class NDArray:
    """What `numpy.ndarray` stands for: an array, once its state is set."""

    values: Array = None

    def build(self, state: Any) -> None:
        """Set the state as `numpy.ndarray.__setstate__` would, after checking every part."""
        _version, shape, dtype, fortran_order, data = state
        if not isinstance(dtype, _DType) or not isinstance(shape, tuple) or len(shape) > MOST_AXES:
            raise ValueError("an array has no proper shape and dtype")
        if not all(type(length) is int and length >= 0 for length in shape):
            raise ValueError("an array has no proper shape")
        if isinstance(data, str):  # Python 2's bytes
            data = data.encode("latin1")
        values = np.frombuffer(data, dtype=np.dtype(dtype.byte_order + dtype.code))
        if math.prod(shape) != values.size:
            raise ValueError(f"an array of shape {shape} has {values.size} entries")
        self.values = values.reshape(shape, order="F" if fortran_order else "C")


@dataclass
class Machine:
    """The stack and the memo of the pickle machine (see the module pickletools)."""

    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    arrays: int = 0

    def pop_to_mark(self) -> list[Any]:
        """Remove and return the items above the topmost mark, and remove the mark."""
        items: list[Any] = []
        while not isinstance(item := self.stack.pop(), Mark):
            items.append(item)
        return items[::-1]

    def pop(self, count: int) -> list[Any]:
        """Remove and return the topmost items."""
        if count > len(self.stack):
            raise IndexError("the stack is empty")
        items = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return items

    def push_name(self, module_and_name: str) -> None:
        """Push what an admitted name stands for; refuse any other."""
        if module_and_name not in ADMITTED:
            name = module_and_name[:100].replace(" ", ".")
            raise ValueError(f"it names {name!r}, which is refused")
        self.stack.append(_Name(ADMITTED[module_and_name]))

    def reduce(self) -> None:
        """Replace an admitted name and its arguments by the record of a dtype or an array."""
        # Neither hash, compare nor print what the file built: a tuple of tuples of tuples,
        # each named twice, takes two to the power of its depth steps.
        called, arguments = self.pop(2)
        first = arguments[0] if isinstance(arguments, tuple) and arguments else None
        if not isinstance(called, _Name):
            raise ValueError("it calls what is no name")
        if called.name == "dtype" and isinstance(first, str) and first in DTYPES:
            self.stack.append(_DType(first))
        elif called.name == "_reconstruct" and isinstance(first, _Name) and first.name == "ndarray":
            self.stack.append(NDArray())
        else:
            kind = f" {first[:20]!r}" if isinstance(first, str) else ""
            raise ValueError(f"it makes a {called.name}{kind} that is no array of numbers")

    def build(self) -> None:
        """Take the topmost item for the state of the record below it."""
        (state,) = self.pop(1)
        target = self.stack[-1]
        if not isinstance(target, _DType | NDArray):
            raise ValueError("it sets the state of what is no array")
        if isinstance(target, NDArray):
            self.arrays += 1  # each may copy the same bytes anew
        if self.arrays > MOST_ARRAYS:
            raise ValueError(f"it holds more than {MOST_ARRAYS} arrays")
        target.build(state)

    def append(self, items: list[Any]) -> None:
        """Append items to the list on top of the stack."""
        if type(self.stack[-1]) is not list:
            raise ValueError("it appends to what is no list")
        self.stack[-1].extend(items)
