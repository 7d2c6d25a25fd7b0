"""Processes with a GPU each, simulated; the calls fit the signatures of CuPy."""

import ast
import inspect
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.distributed.nccl_program import Group
from tests.distributed.processes import mpiexec


@pytest.mark.slow
@pytest.mark.usefixtures("cupy_backend")
def test_a_simulated_group_has_the_bits_of_one_process():
    done = mpiexec(2, "-m", "tests.distributed.nccl_program")
    assert done.stdout == "the same bits\n", done.stderr


def test_the_simulated_group_has_the_signatures_of_cupy():
    assert str(inspect.signature(Group.all_reduce)) == f"({parameters('_nccl_comm', 'all_reduce')})"
    taken = set(inspect.signature(Group).parameters)
    found = ast.parse(f"lambda {parameters('_init', 'init_process_group')}: 0", mode="eval").body
    assert taken <= {each.arg for each in (*found.args.args, *found.args.kwonlyargs)}


def parameters(module, function):
    """Return the parameters of a function of cupyx.distributed, read: its import needs NCCL."""
    pytest.importorskip("cupy")
    source = Path(find_spec("cupyx").origin).parent / "distributed" / f"{module}.py"
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.FunctionDef) and node.name == function:
            return ast.unparse(node.args)
    raise AssertionError(f"{source} has no {function}")
