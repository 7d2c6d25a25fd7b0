"""Processes with a GPU each, simulated; the calls fit the signatures of CuPy."""

import inspect

import pytest

from tests.distributed.nccl_program import Group
from tests.distributed.processes import mpiexec


def test_a_simulated_group_has_the_bits_of_one_process():
    done = mpiexec(2, "-m", "tests.distributed.nccl_program")
    assert done.stdout == "the same bits\n", done.stderr


@pytest.mark.filterwarnings("ignore:.*nccl library could not be loaded")
def test_the_simulated_group_has_the_signatures_of_cupy():
    pytest.importorskip("cupy")
    real = pytest.importorskip("cupyx.distributed", exc_type=ImportError)
    found = inspect.signature(Group.all_reduce)
    assert str(found) == str(inspect.signature(real.NCCLBackend.all_reduce))
    taken = set(inspect.signature(Group).parameters)
    assert taken <= set(inspect.signature(real.init_process_group).parameters)
