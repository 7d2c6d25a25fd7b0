"""Components by name, their annotated fields, and text for users.

The tables are `ACTIVATIONS`, `LOSSES`, `NORMALIZATIONS`, `OPTIMIZERS` and `SCHEDULES`, in the
modules of these families.  The parameters of a component are the fields of a frozen dataclass.  As
text, a component is "name" or "name:parameter=value,parameter=value".

A field is a line of a dataclass, `epochs: Annotated[int, Meta(ge=1), "Passes over …"] = 30`, of a
component or of the options: type, bounds, default and help in one place.  msgspec converts and
checks values; the text for users, on the command line, in the docs and in errors, is made here.

NumPy scalars are accepted, but kept as Python numbers: a numpy.float64 times an array of float32
would be an array of float64, or an error.
"""

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass, replace
from importlib.util import find_spec
from numbers import Integral, Real
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeAlias, TypeVar, cast

import msgspec
from msgspec import Meta, inspect

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

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
"""Names in other libraries, and ours."""


_LONGEST_NAME = 100
"""Longer texts, whose comparison takes memory, are like no name."""


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
    return f"{parameter}={str(value).lower() if isinstance(value, bool | None) else f'{value:g}'}"


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
    """Return a hint at the expected name with the same meaning or most like it, empty if none is.

    Options are written with hyphens or underscores.
    """
    from difflib import get_close_matches  # only errors need it

    expected = [*expected]
    same = [one for one in expected if one.replace("-", "_") == _ELSEWHERE.get(str(name))]
    hints = same or get_close_matches(str(name)[:_LONGEST_NAME], expected, n=1)
    return f"; did you mean {hints[0]!r}?" if hints else ""


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
        If a value is something else, or a parameter has two.
    """
    name, colon, listed = text.partition(":")
    parameters: dict[str, Value] = {}
    for assignment in listed.split(",") if colon else ():
        key, _, value = map(str.strip, assignment.partition("="))
        if key in parameters:
            raise ValueError(f"{what} is {text!r}, expected {key} once")
        try:
            parameters[key] = msgspec.convert(value, Value, strict=False)
        except msgspec.ValidationError:
            raise ValueError(
                f"{what} is {text!r}, expected name:parameter=value,parameter=value, each value a "
                "number, true or false"
            ) from None
    return name.strip(), parameters


def with_parameter(text: str, name: str, value: Value) -> str:
    """Return the text of a component with one more parameter."""
    return f"{text}{',' if ':' in text else ':'}{name}={value}"


def split_components(text: str) -> list[str]:
    """Return the texts of components that are separated by commas, as their parameters are."""
    return re.split(r",(?![^,:]*=)", text)


Positive: TypeAlias = Annotated[float, Meta(gt=0)]
NonNegative: TypeAlias = Annotated[float, Meta(ge=0)]
BelowOne: TypeAlias = Annotated[float, Meta(ge=0, lt=1)]
Count: TypeAlias = Annotated[int, Meta(ge=0)]
PositiveCount: TypeAlias = Annotated[int, Meta(ge=1)]
Flag: TypeAlias = Annotated[bool, Meta()]

_KINDS = {inspect.IntType: int, inspect.FloatType: float}
_NOUNS = {
    inspect.StrType: ("a text", "texts"),
    inspect.IntType: ("an integer", "integers"),
    inspect.FloatType: ("a finite number", "finite numbers"),
    inspect.BoolType: ("True or False", ""),
}
_BOUNDS = {"ge": "of at least", "gt": "above", "lt": "below", "le": "at most"}


def convert(name: str, value: object, kind: object, text: str | None = None) -> Any:
    """Convert a value to a type.

    Parameters
    ----------
    name : str
        The argument, for the error.
    value
    kind : type
        Such as `Positive`.
    text : str, optional
        The text that the value is, or that was split into it: its numbers are texts, too.

    Raises
    ------
    ValueError
        The message names the argument, its value and what was expected.
    """
    with suppress(msgspec.ValidationError, OverflowError):  # of fractions beyond floats
        converted = msgspec.convert(_plain(value), kind, strict=text is None)
        parts = converted if isinstance(converted, tuple) else (converted,)
        has_float = text is not None and not {*text}.isdisjoint(".eE")  # msgspec reads 1e1 as 10
        is_rounded = has_float and any(type(part) is int for part in parts)
        is_set = isinstance(value, Set)  # without an order
        if not (is_set or is_rounded) and (
            not isinstance(converted, float) or math.isfinite(converted)
        ):
            return converted
    received = value if text is None else text
    types = _types_of(inspect.type_info(kind))
    choices = types[0].values if isinstance(types[0], inspect.LiteralType) else ()
    accepted = ", or ".join(_accepted_values(one, as_text=text is not None) for one in types)
    raise ValueError(
        f"{name} is {received!r}, expected {accepted}{did_you_mean(received, map(str, choices))}"
    )


def _plain(value: object) -> object:
    """Return a number as Python's own, and numbers of a sequence."""
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [*map(_plain, value)]
    if isinstance(value, Real) and type(value).__module__ != "builtins":
        return int(value) if isinstance(value, Integral) else float(value)
    return value


def as_seed(value: object) -> int:
    """Return an integer from 0 to 2**64 - 1 as a Python int; ValueError if it is something else."""
    if isinstance(value, Integral) and not isinstance(value, bool) and 0 <= int(value) < 2**64:
        return int(value)
    raise ValueError(f"seed is {value!r}, expected an integer from 0 to 2**64 - 1")


def check_fields(owner: object) -> None:
    """Convert and check every annotated field of a frozen dataclass: its `__post_init__`.

    The default of a field is taken as it is.

    Raises
    ------
    ValueError
        As for `convert`.
    """
    for field in dataclasses.fields(cast("DataclassInstance", owner)):
        value = getattr(owner, field.name)
        if hasattr(field.type, "__metadata__") and value is not field.default:
            object.__setattr__(owner, field.name, convert(field.name, value, field.type))


class Component:
    """Base of frozen dataclasses whose annotated fields are checked."""

    def __post_init__(self) -> None:
        check_fields(self)

    def replaced(self, **values: object) -> Self:
        """Return a copy with other values of some fields, which are checked."""
        return cast(Self, dataclasses.replace(cast("DataclassInstance", self), **values))


def parse(field: "dataclasses.Field[Any]", text: str) -> Any:
    """Return the value of a field as text; values of a list are separated by commas.

    Raises
    ------
    ValueError
        As for `convert`.
    """
    value: object = text
    if isinstance(_types_of(inspect.type_info(field.type))[0], inspect.VarTupleType):
        value = [part.strip() for part in text.split(",")] if text.strip() else []
    return convert(field.name, value, field.type, text)


def kind_of(field: "dataclasses.Field[Any]") -> type[str] | type[int] | type[float]:
    """Return the type of a field that takes only numbers, else str, as of a text to parse."""
    types = _types_of(inspect.type_info(field.type))
    return str if len(types) > 1 else _KINDS.get(type(types[0]), str)


def _types_of(kind: inspect.Type) -> list[inspect.Type]:
    """Return the types of a union except None, or the only type."""
    if isinstance(kind, inspect.Metadata):
        return _types_of(kind.type)
    types = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return [one for one in types if not isinstance(one, inspect.NoneType)]


def _accepted_values(kind: inspect.Type, *, as_text: bool = False, several: bool = False) -> str:
    """Describe what a type accepts: "a finite number of at least 0 and below 1"."""
    if isinstance(kind, inspect.LiteralType):
        one_of = "one of " if len(kind.values) > 1 else ""
        return one_of + ", ".join(map(str, kind.values))
    if isinstance(kind, inspect.VarTupleType):
        items = _accepted_values(kind.item_type, several=True)
        number = "one or more " if kind.min_length else ""
        return f"{items}, separated by commas" if as_text else f"a sequence of {number}{items}"
    limits = {words: getattr(kind, name, None) for name, words in _BOUNDS.items()}
    bounds = [f"{words} {limit:g}" for words, limit in limits.items() if limit is not None]
    return f"{_NOUNS[type(kind)][several]} {' and '.join(bounds)}".rstrip()


def pluralize(count: int, word: str) -> str:
    """Return "1 epoch" or "2 epochs"."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def shorten(text: object, most: int = 1000) -> str:
    """Return a text, or its two ends if it is long: what a file holds may be of any length."""
    words = str(text)
    return words if len(words) <= most else f"{words[: most // 2]} … {words[-most // 2 :]}"


def list_first(values: Sequence[object], most: int = 6) -> str:
    """Return the first of some values, separated by commas."""
    return ", ".join(map(str, values[:most])) + (", …" if len(values) > most else "")


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table with aligned fields."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = ([*map(str.ljust, row, widths)] for row in rows)
    return ["  ".join(row).rstrip() for row in padded]


def require(library: str, extra: str, purpose: str) -> None:
    """Raise ImportError, with the command that helps, if the library of an extra is missing."""
    if find_spec(library) is None:
        install = f"python -m pip install 'pluggable-mlp[{extra}]'"
        raise ImportError(f"{purpose} needs {library}, which is not installed; {install}")
