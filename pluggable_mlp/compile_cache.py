"""Compiled functions, kept from one computation for the next: compiling takes seconds."""

from collections import deque
from collections.abc import Callable, Hashable
from functools import partial
from threading import Lock
from typing import Any

from pluggable_mlp.provenance import is_builtin_call

__all__ = ["compiled_once"]

Function = Callable[..., Any]
Compile = Callable[..., Function | None]

_recent: deque[tuple[Any, Function]] = deque(maxlen=32)
"""Compiled functions, each after what it was compiled from; the last used one is the last."""
_recent_lock = Lock()


def compiled_once(
    compile_function: Compile,
    owner: Hashable,
    function: partial[Any],
    *used_up: int,
    **settings: Any,
) -> Function | None:
    """Return `compile_function(function, …)`, or what it returned for an equal one before.

    Only functions of this package with its components are kept: user-defined components may
    compare equal and behave differently.

    Parameters
    ----------
    compile_function : callable
        As `Compiler.compile`, with these settings.
    owner : hashable
        Whose it is, such as the class and the device of a backend.
    function : functools.partial
        Of a function, a namespace and components; equal ones have equal arguments.
    """
    if used_up:
        settings["used_up"] = used_up
    if not is_builtin_call(function):
        return compile_function(function, **settings)
    key = owner, function.func, function.args, settings
    with _recent_lock:
        for entry in _recent:
            if entry[0] == key and not getattr(entry[1], "fell_back", False):
                _recent.remove(entry)
                _recent.append(entry)
                return entry[1]
        made = compile_function(function, **settings)
        if made is not None:
            _recent.append((key, made))
        return made
