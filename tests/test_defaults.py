"""Defaults: what a docstring or a command's help says is what a caller gets.

A parameter with a default is documented as numpydoc has it: "momentum : float, default 0.95";
one that is None unless given is "optional".  So each default stands in two places, and a change
of one alone fails here.
"""

import ast
import inspect
import re
from typing import get_args

import pytest

import pluggable_mlp
from pluggable_mlp import load_dataset
from pluggable_mlp.cli.app import program
from pluggable_mlp.fields import parse
from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.network.feature_layers import NORMALIZATIONS
from pluggable_mlp.network.losses import LOSSES
from pluggable_mlp.options import Options
from pluggable_mlp.plan import Plan
from pluggable_mlp.training.components import OPTIMIZERS, TRANSFORMS
from pluggable_mlp.training.schedules import SCHEDULES, WarmUp

MLP = pluggable_mlp.MLP
METHODS = ("initialize", "logits", "predict", "predict_proba", "loss_and_gradients")


def public_callables():
    """All that a user calls, by its name: public names but results, methods of MLP, components."""
    homes = pluggable_mlp._HOMES.items()
    names = [name for name, home in homes if not home.startswith("pluggable_mlp.estimators.")]
    public = (getattr(pluggable_mlp, name) for name in names)
    results = pluggable_mlp.Report, pluggable_mlp.SweptNetwork
    called = [
        *(one for one in public if callable(one) and one not in results),
        *(getattr(MLP, name) for name in METHODS),
        WarmUp,
        *(one for of in (OPTIMIZERS, TRANSFORMS, SCHEDULES) for one in of.values()),
        *(type(one) for of in (LOSSES, NORMALIZATIONS) for one in of.values()),
        *(type(one) for one in ACTIVATIONS.values() if not inspect.isroutine(one)),
    ]
    return {one.__qualname__: one for one in called if not is_exception(one)}


def is_exception(one):
    return isinstance(one, type) and issubclass(one, BaseException)


def defaults_of(called):
    """The default of each parameter; None for a function, too, which is optional to a reader."""
    parameters = inspect.signature(called).parameters.values()
    given = {of.name: of.default for of in parameters if of.default is not of.empty}
    return {name: None if callable(default) else default for name, default in given.items()}


def documented(called):
    """The default of each parameter by its docstring: None where it is optional."""
    text = inspect.getdoc(called) or ""
    section = re.search(
        r"^Parameters\n-+\n(.*?)(?=^\S[^\n]*\n-+\n|\Z)", text, re.DOTALL | re.MULTILINE
    )
    found = {}
    for names, kind in re.findall(
        r"^([\w, ]+) : (.*)$", section[1] if section else "", re.MULTILINE
    ):
        for name in names.split(", "):
            if kind.endswith(", optional"):
                found[name] = None
            elif ", default " in kind:
                found[name] = ast.literal_eval(kind.split(", default ")[1])
    return found


WITH_DEFAULTS = {name: of for name, of in public_callables().items() if defaults_of(of)}


@pytest.mark.parametrize("name", WITH_DEFAULTS)
def test_a_docstring_names_every_default(name):
    said, meant = documented(WITH_DEFAULTS[name]), defaults_of(WITH_DEFAULTS[name])
    assert said == meant
    # 1 == 1.0 == True, but a user who reads one of them expects it.
    assert {key: type(of) for key, of in said.items()} == {
        key: type(of) for key, of in meant.items()
    }


@pytest.mark.parametrize(
    "name", ["MLPClassifier", "MLPRegressor", "TableClassifier", "TableRegressor"]
)
def test_the_docstring_of_an_estimator_describes_its_parameters(name):
    estimator = getattr(pluggable_mlp, name)
    section = inspect.getdoc(estimator).partition("\nParameters\n")[2].partition("\n\n")[0]
    described = re.findall(r"^(\w.*?) : .+\n    \S", section, re.MULTILINE)
    assert ", ".join(described).split(", ") == [*inspect.signature(estimator).parameters]


def test_components_by_name_have_the_defaults():
    """Activations, losses and normalizations are in their tables as what they make."""
    for name, made in (ACTIVATIONS | LOSSES | NORMALIZATIONS).items():
        if not inspect.isroutine(made):
            for field, default in defaults_of(type(made)).items():
                assert getattr(made, field) == default, f"{name}: {field}"


# What `pluggable-mlp train --help` shows in square brackets, and what its texts say of the rest.
TRAIN = {
    "data": "digits", "input_dropout": 0.0, "input_noise": 0.0, "norm": None, "class_weight": None,
    "learning_rate": None, "weight_decay": None, "clip_norm": None, "schedule": None, "warmup": 0,
    "dtype": "float32", "arithmetic": "native", "seed": 0, "backend": "numpy",
    "output": None, "quiet": False,
}  # fmt: skip
WITHOUT_A_RECIPE = {
    "hidden": "100", "activation": "sigmoid", "dropout": "0.0", "label_smoothing": "0.0",
    "optimizer": "sgd", "batch_size": "16", "epochs": "30",
}  # fmt: skip


def test_the_defaults_of_the_command_line_are_those_of_the_settings():
    options = program.commands["train"].params
    defaults = {option.name: option.default for option in options}
    assert {name: defaults[name] for name in TRAIN} == TRAIN
    of_settings = {name: TRAIN[name] for name in defaults_of(Options) if name in TRAIN}
    fields = Options.__dataclass_fields__
    for name, text in WITHOUT_A_RECIPE.items():
        assert f"by default the recipe's, else {text}" in get_args(fields[name].type)[-1]
        of_settings[name] = parse(fields[name], text)
    stated = Options(), Options(**of_settings)
    assert len({str(Plan.for_dataset(each, load_dataset("digits"))) for each in stated}) == 1
