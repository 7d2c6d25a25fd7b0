"""Whether a component consists only of what this package defines.

Its fields then determine what it does, and it may be traced or compiled once and repeated.  A
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
    """Return whether a component consists only of this package's functions and classes.

    Parameters
    ----------
    component
        A network, an optimizer or a part of these: a function, an object, a number, a text, None,
        or a list or tuple of these.  An object's fields count if they are compared for equality.
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
    """Return whether a package function has all arguments except arrays, all of the package.

    It is a `functools.partial` whose first argument is a namespace; the others are components.
    """
    return (
        isinstance(function, partial)
        and not function.keywords
        and is_builtin(function.func)
        and all(map(is_builtin, function.args[1:]))
    )


def is_builtin_class(definition: FunctionType | type) -> bool:
    """Return whether a module of the package has the function or class by this name.

    Objects made within a function have no such name; a wrapper may have that of the wrapped object.
    """
    module = definition.__module__ or ""
    return module.partition(".")[0] == _PACKAGE and definition is getattr(
        sys.modules.get(module), definition.__qualname__, None
    )
