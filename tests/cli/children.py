"""The command line in a process of its own, which signals and closed pipes can be sent to."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

posix = pytest.mark.skipif(os.name != "posix", reason="signals, links and devices of POSIX")
ENDLESS_TRAINING = ("train", "--epochs", 1_000_000, "--hidden", 8)
"""What goes on until it is stopped."""
_LONGEST = 900
"""Seconds after which a child is killed: a test that waits for its word fails, and goes on."""


@contextmanager
def running(*arguments: object, before: tuple[str, ...] = (), **options: Any) -> Iterator[Any]:
    """Start `pluggable-mlp` with these arguments; what still runs in the end is killed.

    The child answers to Ctrl-C even where this process was started by `nohup` or in the
    background, and ignores it: an ignored signal is inherited.
    """
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        child = subprocess.Popen(
            [*before, sys.executable, "-m", "pluggable_mlp", *map(str, arguments)],
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options,
        )
    finally:
        signal.signal(signal.SIGINT, handler)
    watchdog = threading.Timer(_LONGEST, child.kill)
    watchdog.start()
    with child:
        try:
            yield child
        finally:
            watchdog.cancel()
            child.kill()


def stopped(child, sent=signal.SIGINT) -> tuple[int, str, str]:
    """Send a signal and return the exit code, the rest of the output and of the errors."""
    child.send_signal(sent)
    out, err = child.communicate(timeout=300)
    return child.returncode, out, err
