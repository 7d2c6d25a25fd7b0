"""Logs of training for other programs: `train --log tensorboard`, by tensorboardX (an extra)."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pluggable_mlp.registry import choose

__all__ = ["LOGS", "check_log", "logging_epochs"]

Log = Callable[[dict[str, Any]], None]


@contextmanager
def logging_epochs(name: str | None, folder: Path) -> Iterator[Log]:
    """Give what is told of the line of each epoch, and writes its numbers.

    Parameters
    ----------
    name : str or None
        One of `LOGS`, checked by `check_log`; None: nothing is written.
    folder : Path
        Of the run; the log is in its sub-folder of that name.
    """
    if name is None:
        yield lambda _: None
        return
    with LOGS[name](folder / name) as log:
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
def _tensorboard(folder: Path) -> Iterator[Log]:
    from tensorboardX import SummaryWriter

    # A name of its own, or a run that is resumed within a second would write over the file.
    with SummaryWriter(str(folder), filename_suffix=f".{time.time_ns()}") as writer:

        def log(line: dict[str, Any]) -> None:
            for key, value in line.items():
                if isinstance(value, float):
                    writer.add_scalar(key.replace("_", "/", 1), value, line["epoch"])
            writer.flush()

        yield log


LOGS: Mapping[str, Any] = {"tensorboard": _tensorboard}
