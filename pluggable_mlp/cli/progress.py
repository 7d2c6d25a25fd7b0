"""The progress bar: on standard error, and only on a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pluggable_mlp.cli.interrupts import StopRequest

__all__ = ["training_progress"]


@contextmanager
def training_progress(
    total: int, request: StopRequest, quiet: bool = False
) -> Iterator[Callable[[int], None]]:
    """Show how many of `total` examples were trained on; yield a callback for further ones.

    It is called after each training step, and raises `Interrupted` where that was requested.
    """
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    visible = console.is_terminal and not quiet
    if not visible:  # `Progress(disable=True)` of older Rich prints an empty line
        yield lambda _: request.raise_if_made()
        return
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("training", total=total)

        def on_batch(count: int) -> None:
            progress.advance(task, count)
            request.raise_if_made()

        yield on_batch
