"""Access to compiled functions; without a reliable one, operations run one at a time.

`compiled` asks a backend for a faster function, and keeps it for the next computation, as compiling
takes seconds.  `trusted` tests in this process whether a method keeps all bits, and `Fallback`
abandons a method that fails.  `is_builtin` says whether a component may be compiled once and
repeated: its fields determine what this package's do, but a user-defined function or object may
change, draw random numbers, or have other side effects.
"""

import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import fields, is_dataclass
from functools import partial
from importlib import import_module
from threading import RLock
from types import FunctionType
from typing import Any

from pluggable_mlp.arrays import Array, Namespace, device_of
from pluggable_mlp.arrays.shortcuts import backend_at, own

Function = Callable[..., Any]

_PACKAGE = __name__.partition(".")[0]
_PLAIN = (type(None), bool, int, float, str)

_MOST = 128
_kept: OrderedDict[Hashable, Function] = OrderedDict()
"""Compiled functions, in the order of their last use."""
_lock = RLock()
_trials: dict[Hashable, bool] = {}
"""Which trials of this process succeeded."""


def compiled(
    backend: object, function: Function, *used_up: int, **settings: object
) -> Function | None:
    """Return `Abilities.compile` of a function, or the result of an earlier call with an equal one.

    Only functions built from this package's components are kept; those of users may compare equal
    and behave differently.

    Parameters
    ----------
    backend : Backend or None
        If None, or if it compiles nothing, the result is None.
    function : callable
        To be kept, a `functools.partial` that binds a function to a namespace and components.
    *used_up, **settings
        As for `Abilities.compile`.
    """
    if backend is None:
        return None
    compile_function = getattr(backend, "compile", None) or partial(default_compile(), backend)
    if used_up:
        settings["used_up"] = used_up
    if not is_builtin_call(function):
        return compile_function(function, **settings)
    assert isinstance(function, partial)
    owner = type(backend), getattr(backend, "device", None)  # None if no backend is known
    key = owner, function.func, function.args, tuple(settings.items())
    with _lock:
        faster = _kept.get(key)
        if faster is None:
            faster = compile_function(function, **settings)
        if faster is not None:
            _kept[key] = faster
            _kept.move_to_end(key)
            if len(_kept) > _MOST:
                _kept.popitem(last=False)
        return faster


def default_compile() -> Function:
    """Return `Abilities.compile`, for backends that leave it out."""
    compile_function: Function = import_module("pluggable_mlp.backends.contract").Abilities.compile
    return compile_function


def call_compiled(
    xp: Namespace, function: Callable[..., Array], x: Array, *constants: Hashable
) -> Array:
    """Return function(xp, *constants, x), compiled if a library compiles each operation.

    Parameters
    ----------
    xp : namespace
    function : callable
        Defined in a module; its results are exact, as `Abilities.compile` requires.
    x : array
    *constants : hashable
    """
    call = partial(function, xp, *constants)
    if not own(xp, "compiles_operations") or (device := device_of(x)) is None:  # it is traced
        return call(x)
    return (compiled(backend_at(xp, device), call, exact=True) or call)(x)


def trusted(key: Hashable, trial: Callable[[], bool], consequence: str = "") -> bool:
    """Return whether a trial succeeds, run once in a process.

    Parameters
    ----------
    key : hashable
        Identifies what is tried, and on which device.
    trial : callable
        Returns whether all bits are right.
    consequence : str
        The text of a warning before the reason; if empty, errors are raised instead.
    """
    if key not in _trials:
        reason = "its results differ"
        try:
            if trial():
                reason = ""
        except Exception as error:  # whatever a compiler may raise
            if not consequence or isinstance(error, MemoryError):  # there may be more of it later
                raise
            reason = words_of(error)
        _trials[key] = not reason
        if reason and consequence:
            warnings.warn(f"{consequence}: {reason}", stacklevel=3)
    return _trials[key]


class Unsuitable(Exception):  # noqa: N818 (not an error)
    """Raised for a function that cannot be compiled, without need of a warning."""


class Fallback:
    """A faster method that is used until it fails; then a warning says so, once.

    Parameters
    ----------
    consequence : str
        The text of the warning before the reason.
    errors : tuple of type
        Those that count as failure; others, and a MemoryError, are raised.

    Attributes
    ----------
    failed : bool
    """

    def __init__(
        self, consequence: str, errors: tuple[type[Exception], ...] = (Exception,)
    ) -> None:
        self._consequence, self._errors = consequence, errors
        self.failed: bool = False

    def attempt(self, way: Function, *arguments: Any) -> Any:
        """Return way(*arguments), or NotImplemented if it fails or has failed."""
        if self.failed:
            return NotImplemented
        try:
            return way(*arguments)
        except MemoryError:  # there may be more of it the next time
            raise
        except Unsuitable:
            self.failed = True
        except self._errors as error:
            self.give_up(words_of(error))
        return NotImplemented

    def give_up(self, reason: str) -> None:
        """Stop using the method."""
        self.failed = True
        # From one place for all functions, so that the same warning is shown once.
        warnings.warn(f"{self._consequence}: {reason}", stacklevel=1)


def words_of(error: Exception) -> str:
    """Return the kind of an error and the first line of its message, or two after a colon."""
    first, second, *_ = [*str(error).splitlines(), "", ""]
    return f"{type(error).__name__}: {f'{first} {second}' if first.endswith(':') else first}"


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
    values = [getattr(component, field.name) for field in fields(component) if field.compare]
    return all(map(is_builtin, values))


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
