"""Annotated fields: type, bounds, default and help of a value in one place.

A field is a line of a dataclass, `epochs: Annotated[int, Meta(ge=1), "Passes over …"] = 30`, of a
component or of the options.  msgspec converts and checks values; the text for users, on the
command line, in the docs and in errors, is made here.

NumPy scalars are accepted, but kept as Python numbers: a numpy.float64 times an array of float32
would be an array of float64, or an error.
"""

import dataclasses
import math
from contextlib import suppress
from numbers import Integral, Real
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeAlias, cast

import msgspec
from msgspec import Meta, inspect

from pluggable_mlp.registry import did_you_mean

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Finite: TypeAlias = Annotated[float, Meta()]
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
    plain = value
    with suppress(msgspec.ValidationError, OverflowError):  # of fractions beyond floats
        if isinstance(value, Real) and type(value).__module__ != "builtins":
            plain = int(value) if isinstance(value, Integral) else float(value)
        converted = msgspec.convert(plain, kind, strict=text is None)
        if not isinstance(converted, float) or math.isfinite(converted):
            return converted
    received = value if text is None else text
    types = _types_of(inspect.type_info(kind))
    choices = types[0].values if isinstance(types[0], inspect.LiteralType) else ()
    accepted = ", or ".join(map(_accepted_values, types))
    raise ValueError(
        f"{name} is {received!r}, expected {accepted}{did_you_mean(received, map(str, choices))}"
    )


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
    first, *others = _types_of(inspect.type_info(field.type))
    return str if others else _KINDS.get(type(first), str)


def _types_of(kind: inspect.Type) -> list[inspect.Type]:
    """Return the types of a union except None, or the only type."""
    if isinstance(kind, inspect.Metadata):
        return _types_of(kind.type)
    types = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return [one for one in types if not isinstance(one, inspect.NoneType)]


def _accepted_values(kind: inspect.Type, *, several: bool = False) -> str:
    """Describe what a type accepts: "a finite number of at least 0 and below 1"."""
    if isinstance(kind, inspect.LiteralType):
        one_of = "one of " if len(kind.values) > 1 else ""
        return one_of + ", ".join(map(str, kind.values))
    if isinstance(kind, inspect.VarTupleType):
        return f"{_accepted_values(kind.item_type, several=True)}, separated by commas"
    limits = {words: getattr(kind, name, None) for name, words in _BOUNDS.items()}
    bounds = [f"{words} {limit:g}" for words, limit in limits.items() if limit is not None]
    return f"{_NOUNS[type(kind)][several]} {' and '.join(bounds)}".rstrip()
