"""An option is a field of `Options`: what follows from it, and what estimators have beside it."""

import inspect
import re
from pathlib import Path

import pytest

from pluggable_mlp import TableClassifier, TableRegressor
from pluggable_mlp.cli.app import program
from pluggable_mlp.options import Options

FIELDS = Options.__dataclass_fields__
PAGE = Path(__file__).parent.parent / "docs/reference/command-line.md"

# What takes the place of an option in estimators for tables, or why there is none.
ELSEWHERE = {
    "data": "X",
    "target": "y",
    "task": "the class of the estimator",
    "header": "X is no file",
    "encoding": "X is no file",
    "decimal": "X is no file",
    "test": "the caller's",
    "test_share": "the caller's",
    "validation": "validation_fraction",
    "validation_by": "groups of fit",
    "epochs": "max_iter",
    "seed": "random_state",
    "block_size": "by the size of X",
    "micro_batch": "batches fit into memory",
}
PARAMETERS = {
    name: parameter.default
    for estimator in (TableClassifier, TableRegressor)
    for name, parameter in inspect.signature(estimator).parameters.items()
}


def test_every_option_is_on_the_command_line_and_its_page():
    options = {option.name: option.opts for option in program.commands["train"].params}
    rows = re.findall(r"^\| `--([\w-]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    for name in FIELDS:
        assert f"--{name.replace('_', '-')}" in options[name]
        assert name.replace("_", "-") in rows


@pytest.mark.parametrize("name", FIELDS)
def test_every_option_is_a_parameter_of_an_estimator_for_tables(name):
    """With the same default, but the recipe: that of tables is another than that of arrays."""
    assert (name in PARAMETERS) != (name in ELSEWHERE)
    if name in PARAMETERS and name != "recipe":
        assert PARAMETERS[name] == FIELDS[name].default
