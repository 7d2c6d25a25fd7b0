"""Components by name, and their parameters as text.

The tables are `ACTIVATIONS`, `LOSSES`, `NORMALIZATIONS`, `OPTIMIZERS` and `SCHEDULES`, in the
modules of these families.  The parameters of a component are the fields of a frozen dataclass.  As
text, a component is "name" or "name:parameter=value,parameter=value".  The help of the command line
is generated from the tables.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from typing import Any, TypeAlias, TypeVar, cast

import msgspec

T = TypeVar("T")
Value: TypeAlias = bool | int | float
"""The value of a parameter that is given as text."""

_ELSEWHERE = {
    "mse": "squared_error",
    "mae": "absolute_error",
    "cross_entropy": "softmax_cross_entropy",
    "logistic": "sigmoid",
    "swish": "silu",
    "linear": "identity",
    "lr": "learning_rate",
}
"""Names that other libraries have, and ours."""


def choose(table: Mapping[str, T], name: str, what: str) -> T:
    """Return `table[name]`.

    Raises
    ------
    ValueError
        If the name is unknown; the message lists the known names and suggests the closest.
    """
    try:
        return table[name]
    except (KeyError, TypeError):  # an unhashable value is not a name, either
        raise ValueError(
            f"{what} is {name!r}, expected one of {', '.join(table)}{did_you_mean(name, table)}"
        ) from None


def make(table: Mapping[str, T], text: str, what: str, **more: Value) -> T:
    """Return the component of a text, with its parameters replaced.

    Only frozen dataclasses have parameters.

    Parameters
    ----------
    table : mapping
        The components by their names: `LOSSES`, `ACTIVATIONS`, `NORMALIZATIONS`.
    text : str
        A name, or one with parameters, as for `parse_component`.
    what : str
        What the table contains, for the error, such as "loss".
    **more
        More parameters to replace.

    Raises
    ------
    ValueError
        If the name is unknown, the component does not have the parameter, or a value is out of
        range.
    """
    name, parameters = parse_component(text, what)
    parameters |= more
    component: Any = choose(table, name, what)  # components with parameters are dataclasses
    if parameters:
        refuse_unknown(f"{what} {name!r}", parameters, parameters_of(component))
        component = replace(component, **parameters)
    return cast(T, component)


def parameters_of(component: object) -> dict[str, object]:
    """Return the parameters of a component with their values or `dataclasses.MISSING`.

    Parameters
    ----------
    component
        A frozen dataclass, or an instance of one; anything else does not have parameters.
    """
    if not is_dataclass(component):
        return {}
    return {
        field.name: field.default if isinstance(component, type) else getattr(component, field.name)
        for field in fields(component)
        if field.init
    }


def catalogue(table: Mapping[str, object], leave_out: Iterable[str] = ()) -> str:
    """Return the names in a table, with parameters and defaults: "relu, elu (alpha=1)".

    Parameters
    ----------
    table : mapping
        Components by their names.
    leave_out : iterable of str, optional
        Parameters to leave out.
    """
    words = []
    for name, component in table.items():
        parameters = parameters_of(component)
        shown = [_in_words(key, parameters[key]) for key in parameters if key not in leave_out]
        words.append(f"{name} ({', '.join(shown)})" if shown else name)
    return ", ".join(words)


def _in_words(parameter: str, value: object) -> str:
    if value is MISSING:
        return parameter
    return f"{parameter}={str(value).lower() if isinstance(value, bool) else f'{value:g}'}"


def refuse_unknown(what: str, names: Iterable[str], expected: Iterable[str]) -> None:
    """Raise if a component is given a parameter that it does not take.

    Raises
    ------
    ValueError
        The message names the component and the parameter, and lists those that it takes.
    """
    expected = list(expected)
    for name in names:
        if name not in expected:
            listed = ", ".join(expected) or "no parameters"
            raise ValueError(
                f"{what} takes no {name}; it takes {listed}{did_you_mean(name, expected)}"
            )


def did_you_mean(name: object, expected: Iterable[str]) -> str:
    """Return a hint at the closest expected name, empty if none is close."""
    near = closest(str(name), expected)
    return "" if near is None else f"; did you mean {near!r}?"


def closest(name: str, expected: Iterable[str]) -> str | None:
    """Return the expected name with the same meaning or most like it; None if none is close.

    Options are written with hyphens or underscores.
    """
    from difflib import get_close_matches  # only errors need it

    expected = [*expected]
    same = [one for one in expected if one.replace("-", "_") == _ELSEWHERE.get(name)]
    return next(iter(same or get_close_matches(name, expected, n=1)), None)


def parse_component(text: str, what: str) -> tuple[str, dict[str, Value]]:
    """Return the name and the parameters of one component.

    Parameters
    ----------
    text : str
        "name" or "name:parameter=value,parameter=value"; values are numbers, true or false.
    what : str
        The argument, for the error.

    Raises
    ------
    ValueError
        If a value is something else.
    """
    name, _, listed = text.partition(":")
    parameters: dict[str, Value] = {}
    for assignment in listed.split(",") if listed else ():
        key, _, value = assignment.partition("=")
        try:
            parameters[key.strip()] = msgspec.convert(value.strip(), Value, strict=False)
        except msgspec.ValidationError:
            raise ValueError(
                f"{what} is {text!r}, expected name:parameter=value,parameter=value, each value a "
                "number, true or false"
            ) from None
    return name.strip(), parameters


def split_components(text: str) -> list[str]:
    """Return the texts of components that are separated by commas, as their parameters are."""
    return re.split(r",(?![^,:]*=)", text)
