"""Compiled functions, kept from one training for the next: compiling takes seconds."""

from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Any

__all__ = ["made_once"]

_recent: deque[tuple[Any, Any]] = deque(maxlen=32)  # with what each was made of
_recent_lock = Lock()


def made_once(made_of: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    """Return what was made of equal things before; or make it."""
    with _recent_lock:
        for known, made in _recent:
            if known == made_of:
                return made
        made = make()
        _recent.append((made_of, made))
        return made
