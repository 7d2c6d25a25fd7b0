"""The machine's own rules; whole pickles are fed to it in test_opcodes.py."""

import pickletools

import numpy as np
import pytest

from pluggable_mlp.data.opcodes import OPERATIONS
from pluggable_mlp.data.pickle_machine import ADMITTED, Machine, Mark, NDArray


def test_it_admits_three_names_of_numpy_and_no_other():
    assert set(ADMITTED.values()) == {"_reconstruct", "ndarray", "dtype"}
    assert all(name.split(".")[0].split(" ")[0] == "numpy" for name in ADMITTED)


def test_what_an_admitted_name_stands_for_is_no_object_of_numpy():
    machine = Machine()
    for name in ADMITTED:
        machine.push_name(name)
    assert not any(item in (np.ndarray, np.dtype) or callable(item) for item in machine.stack)


def test_operations_are_those_of_the_pickle_machine():
    assert set(OPERATIONS) < {operation.name for operation in pickletools.opcodes}


@pytest.mark.parametrize("axes", [0, 1, 4, 5, 40])
def test_an_array_has_at_most_four_axes(axes):
    machine = Machine()
    machine.push_name("numpy dtype")
    machine.stack.append(("f4", 0, 1))
    machine.reduce()
    array = NDArray()
    state = (1, (1,) * axes, machine.stack.pop(), False, bytes(4))
    if axes <= 4:
        array.build(state)
        assert array.values.shape == (1,) * axes
    else:
        with pytest.raises(ValueError, match="no proper shape"):
            array.build(state)


def test_the_stack():
    machine = Machine()
    machine.stack = [1, Mark(), 2, 3]
    assert machine.pop(1) == [3]
    assert machine.pop_to_mark() == [2]
    assert machine.stack == [1]
    for pop in (machine.pop_to_mark, lambda: machine.pop(2)):
        with pytest.raises(IndexError):
            pop()
