"""The operations of a pickle of NumPy arrays, and what each does to the `Machine`.

Every operation that such a file does not need is refused.  The names that are admitted, and
why nothing is unpickled, are in `pickle_machine.py`; what the arrays of MNIST's classic pickle
mean is in `classic_pickle.py`.
"""

import pickletools
from collections.abc import Callable
from typing import Any

from pluggable_mlp.data.errors import DataError
from pluggable_mlp.data.files import BoundedFile
from pluggable_mlp.data.pickle_machine import MOST_ARRAYS, Machine, Mark, NDArray

__all__ = ["read_pickled_arrays"]

MOST_OPERATIONS = 10_000
"""MNIST's classic pickle has about 110."""

REMEDY = "save the arrays with numpy.savez instead, or get a new copy of the file"


def _push(machine: Machine, argument: Any) -> None:
    machine.stack.append(argument)


def _put(machine: Machine, argument: Any) -> None:
    machine.memo[argument] = machine.stack[-1]


def _constant(value: Any) -> Callable[[Machine, Any], None]:
    return lambda machine, _: machine.stack.append(value)


def _tuple(count: int) -> Callable[[Machine, Any], None]:
    return lambda machine, _: machine.stack.append(tuple(machine.pop(count)))


OPERATIONS: dict[str, Callable[[Machine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME"), lambda _machine, _argument: None),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "BINSTRING", "SHORT_BINSTRING"), _push),
    **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE", "SHORT_BINBYTES", "BINBYTES"), _push),
    "NONE": _constant(None),
    "NEWTRUE": _constant(True),
    "NEWFALSE": _constant(False),
    "MARK": lambda machine, _: machine.stack.append(Mark()),
    "EMPTY_TUPLE": _tuple(0),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.pop_to_mark())),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "APPEND": lambda machine, _: machine.append(machine.pop(1)),
    "APPENDS": lambda machine, _: machine.append(machine.pop_to_mark()),
    "BINPUT": _put,
    "LONG_BINPUT": _put,
    "MEMOIZE": lambda machine, _: _put(machine, len(machine.memo)),
    "BINGET": lambda machine, argument: machine.stack.append(machine.memo[argument]),
    "LONG_BINGET": lambda machine, argument: machine.stack.append(machine.memo[argument]),
    "GLOBAL": Machine.push_name,
    "STACK_GLOBAL": lambda machine, _: machine.push_name(" ".join(machine.pop(2))),
    "REDUCE": lambda machine, _: machine.reduce(),
    "BUILD": lambda machine, _: machine.build(),
}


def read_pickled_arrays(file: BoundedFile) -> Any:
    """Read the pickle in a file, of protocol 2 as Python 2 writes it, 3 or 4.

    Returns
    -------
    object
        Tuples and lists of NumPy arrays, nested as in the file; the arrays may be read-only.

    Raises
    ------
    DataError
        If the file is damaged, or holds anything but tuples and lists of numeric arrays.
    """
    machine = Machine()
    try:
        # genops reads and reads lines, no more; its type asks for a whole file.
        for count, (operation, argument, _) in enumerate(pickletools.genops(file)):  # type: ignore[arg-type]
            if operation.name == "STOP":
                file.expect_end()
                return _unwrap(machine.stack.pop())
            if operation.name not in OPERATIONS or count > MOST_OPERATIONS:
                raise ValueError(f"operation {count}, {operation.name}, is none that arrays need")
            OPERATIONS[operation.name](machine, argument)
    except DataError:
        raise
    except Exception as error:  # pickletools does not say what a bad pickle makes it raise
        raise DataError(file.path, f"is no pickle of NumPy arrays: {error}", REMEDY) from error
    raise DataError(file.path, "has no end", REMEDY)


def _unwrap(item: Any, depth: int = 0) -> Any:
    if isinstance(item, tuple | list) and depth < 2 and len(item) <= MOST_ARRAYS:
        return [_unwrap(part, depth + 1) for part in item]
    if isinstance(item, NDArray) and item.values is not None:
        return item.values
    raise ValueError("it holds more than a few tuples of a few arrays")
