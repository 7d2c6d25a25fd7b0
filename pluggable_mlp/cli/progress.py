"""The progress bar: on standard error, and only on a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pluggable_mlp.cli.interrupts import raising

__all__ = ["training_progress"]


@contextmanager
def training_progress(total: int, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """Show how many of `total` examples were trained on; yield what tells of further ones.

    Ctrl-C raises KeyboardInterrupt within it: the bar must leave the terminal as it was.
    """
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    visible = console.is_terminal and not quiet
    with raising(), Progress(console=console, transient=True, disable=not visible) as progress:
        task = progress.add_task("training", total=total)
        yield lambda count: progress.advance(task, count)
