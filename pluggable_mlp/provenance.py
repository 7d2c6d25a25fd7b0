"""Whether a component consists only of what this package defines.

What it does is then determined by its fields: it may be traced or compiled once and repeated.  A
user-defined function or object may change, draw random numbers, or have other side effects.
"""

import sys
from dataclasses import fields, is_dataclass
from functools import partial
from types import FunctionType
from typing import Any

_PACKAGE = __name__.partition(".")[0]
_PLAIN = (type(None), bool, int, float, str)


def is_builtin(component: Any) -> bool:
    """Return whether it, and all in it, are of functions and classes of this package.

    Parameters
    ----------
    component
        A network, an optimizer or a part of these: a function, an object, a number, a text, None,
        or a list or tuple of these.  Of an object, the fields that make it equal to others count.
    """
    kind = type(component)
    if kind in _PLAIN:
        return True
    if kind in (list, tuple):
        return all(map(is_builtin, component))
    if kind is FunctionType:
        return is_builtin_class(component)
    if not (is_builtin_class(kind) and is_dataclass(component)):
        return False
    return all(is_builtin(getattr(component, of.name)) for of in fields(component) if of.compare)


def is_builtin_call(function: object) -> bool:
    """Return whether a function of the package has all arguments but arrays, all of the package.

    It is a `functools.partial`: its first argument is a namespace, the others are components.
    """
    return (
        isinstance(function, partial)
        and not function.keywords
        and is_builtin(function.func)
        and all(map(is_builtin, function.args[1:]))
    )


def is_builtin_class(definition: FunctionType | type) -> bool:
    """Return whether a module of the package has the function or class by this name.

    What is made within a function has no such name; a wrapper may have that of what it wraps.
    """
    module = definition.__module__ or ""
    return module.partition(".")[0] == _PACKAGE and definition is getattr(
        sys.modules.get(module), definition.__qualname__, None
    )
