"""Logs of training for other programs: `train --log tensorboard`, by tensorboardX (an extra)."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pluggable_mlp.registry import choose

Log = Callable[[Path, dict[str, Any]], None]
"""(folder of the run, line of an epoch) -> None."""


def check_log(name: str) -> None:
    """Raise ValueError if there is no such log, or the package that writes it is not installed."""
    choose({"tensorboard": 0}, name, "log")
    try:
        import tensorboardX  # noqa: F401
    except ImportError:
        raise ValueError(
            "log is 'tensorboard', which needs tensorboardX; "
            "python -m pip install 'pluggable-mlp[tensorboard]'"
        ) from None


@contextmanager
def epoch_log(name: str | None) -> Iterator[Log]:
    """Yield a function that logs the numbers of an epoch in the run's folder.

    Parameters
    ----------
    name : str or None
        A log that `check_log` accepts; with None the function does nothing.
    """
    with ExitStack() as stack:
        writers: list[Any] = []

        def log(folder: Path, line: dict[str, Any]) -> None:
            if name is None:
                return
            if not writers:
                from tensorboardX import SummaryWriter

                # A name of its own, or a run resumed within a second would write over the file.
                writer = SummaryWriter(str(folder / name), filename_suffix=f".{time.time_ns()}")
                writers.append(stack.enter_context(writer))
            for key, value in line.items():
                if isinstance(value, float):
                    writers[0].add_scalar(key.replace("_", "/", 1), value, line["epoch"])
            writers[0].flush()

        yield log
