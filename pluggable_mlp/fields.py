"""Annotated fields: type, bounds, default and help of a value in one place.

A field is a line of a dataclass, `epochs: Annotated[int, Meta(ge=1), "Passes over …"] = 30`.
msgspec converts and checks values; the words for users, on the command line, in the docs and in
errors, are made here.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from inspect import get_annotations
from typing import Any

import msgspec
from msgspec import inspect

from pluggable_mlp.registry import did_you_mean

_KINDS = {inspect.IntType: int, inspect.FloatType: float}
_NOUNS = {
    inspect.StrType: ("a text", "texts"),
    inspect.IntType: ("an integer", "integers"),
    inspect.FloatType: ("a finite number", "finite numbers"),
}
_BOUNDS = {"ge": "of at least", "gt": "above", "lt": "below", "le": "at most"}


@dataclass(frozen=True)
class Field:
    """A field, for user interfaces.

    Parameters
    ----------
    name : str
    kind : type
        Of a value: str, int or float.
    many : bool
        Whether it is a list of such values.
    default
    help : str
    accepts : str
        A description of the values that it takes: "an integer of at least 1".
    choices : tuple of str
        The only values of a text; empty: any.
    annotation
        What msgspec converts to.
    """

    name: str
    kind: type[str] | type[int] | type[float]
    many: bool
    default: Any
    help: str
    accepts: str
    choices: tuple[str, ...]
    annotation: Any

    def convert(self, value: Any, given: Any = None) -> Any:
        """Return a value of this field, converted.

        Parameters
        ----------
        value
        given, optional
            The user's input, if that is not the value itself.

        Raises
        ------
        ValueError
            The message names the field, the value and what was expected.
        """
        try:
            return msgspec.convert(value, self.annotation)
        except msgspec.ValidationError:
            received = value if given is None else given
            raise ValueError(
                f"{self.name} is {received!r}, expected {self.accepts}"
                f"{did_you_mean(received, self.choices)}"
            ) from None

    def parse(self, text: str) -> Any:
        """Return the value that a text stands for; those of a list are separated by commas.

        Raises
        ------
        ValueError
            As `convert`.
        """
        try:
            parts = text.split(",") if text.strip() else []
            value: Any = [*map(self.kind, parts)] if self.many else self.kind(text)
        except ValueError:
            value = text
        return self.convert(value, text if self.many else None)


def fields_of(owner: type) -> Mapping[str, Field]:
    """Return the fields of a dataclass by their names."""
    return _fields_of(owner)


@cache  # to inspect annotations takes time
def _fields_of(owner: type) -> Mapping[str, Field]:
    if owner.__base__ and not get_annotations(owner):  # all are inherited
        return fields_of(owner.__base__)
    described = inspect.type_info(owner)
    assert isinstance(described, inspect.DataclassType)
    annotations: dict[str, Any] = {}
    for base in reversed(owner.__mro__):
        annotations |= get_annotations(base)
    return {of.name: _field(of, annotations[of.name]) for of in described.fields}


def check_fields(owner: Any) -> None:
    """Convert and check every field of a frozen dataclass: its `__post_init__`.

    The default None of a field stays, whatever it takes.

    Raises
    ------
    ValueError
        As `Field.convert`.
    """
    for field in dataclasses.fields(owner):
        value = getattr(owner, field.name)
        if value is None and field.default is None:
            continue
        try:
            converted = msgspec.convert(value, field.type)
        except msgspec.ValidationError:
            converted = fields_of(type(owner))[field.name].convert(value)  # raises, with words
        object.__setattr__(owner, field.name, converted)


def _field(of: inspect.Field, annotation: Any) -> Field:
    kind, metadata = of.type, getattr(annotation, "__metadata__", ())
    types = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    some, *others = (one for one in types if not isinstance(one, inspect.NoneType))
    single = some.item_type if isinstance(some, inspect.VarTupleType) else some
    return Field(
        name=of.name,
        kind=_KINDS.get(type(single), str),
        many=single is not some,
        default=of.default,
        help=next((one for one in metadata if isinstance(one, str)), ""),
        accepts=", or ".join(map(_accepted_values, (some, *others))),
        choices=tuple(map(str, some.values)) if isinstance(some, inspect.LiteralType) else (),
        annotation=annotation,
    )


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
