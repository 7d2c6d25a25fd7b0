"""Logs of training for other programs: `train --log tensorboard`, by tensorboardX (an extra)."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pluggable_mlp.registry import choose

__all__ = ["LOGS", "check_log", "logging_epochs"]

Log = Callable[[Path, dict[str, Any]], None]
"""(folder of the run, line of an epoch) -> None."""


@contextmanager
def logging_epochs(name: str | None) -> Iterator[Log]:
    """Give what writes the numbers of each epoch's line, to a sub-folder of the run's of that name.

    Parameters
    ----------
    name : str or None
        One of `LOGS`, checked by `check_log`; None: nothing is written.
    """
    if name is None:
        yield lambda *_: None
        return
    with LOGS[name](name) as log:
        yield log


def check_log(name: str) -> None:
    """Raise ValueError if there is no such log, or the package that writes it is not installed."""
    choose(LOGS, name, "log")
    try:
        import tensorboardX  # noqa: F401
    except ImportError:
        raise ValueError(
            "log is 'tensorboard', which needs tensorboardX; "
            "python -m pip install 'pluggable-mlp[tensorboard]'"
        ) from None


@contextmanager
def _tensorboard(name: str) -> Iterator[Log]:
    from tensorboardX import SummaryWriter

    with ExitStack() as stack:
        writers: list[SummaryWriter] = []

        def log(folder: Path, line: dict[str, Any]) -> None:
            if not writers:
                # A name of its own, or a run resumed within a second would write over the file.
                suffix = f".{time.time_ns()}"
                writer = SummaryWriter(str(folder / name), filename_suffix=suffix)
                writers.append(stack.enter_context(writer))
            for key, value in line.items():
                if isinstance(value, float):
                    writers[0].add_scalar(key.replace("_", "/", 1), value, line["epoch"])
            writers[0].flush()

        yield log


LOGS: Mapping[str, Any] = {"tensorboard": _tensorboard}
