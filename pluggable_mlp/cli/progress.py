"""The progress bar: on standard error, and only on a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pluggable_mlp.cli.interrupts import StopRequest

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["TrainingBar", "training_bar"]


class TrainingBar:
    """A bar of the examples trained on, on a terminal; it ends training when that is asked.

    Attributes
    ----------
    visible : bool
        Whether a bar is shown.
    """

    def __init__(
        self, request: StopRequest | None, progress: "Progress | None", total: int
    ) -> None:
        self._request, self._progress = request, progress
        self.visible = progress is not None
        if progress is not None:
            self._task = progress.add_task("training", total=total)

    def __call__(self, count: int) -> None:
        """Note that `count` examples were trained on; raise `Interrupted` where that was asked."""
        if self._progress is not None:
            self._progress.advance(self._task, count)
        if self._request is not None:
            self._request.raise_if_made()

    def show(self, words: str) -> None:
        """Show what the last epoch reached, in the place of what was shown before."""
        if self._progress is not None:
            self._progress.update(self._task, description=words)


@contextmanager
def training_bar(
    total: int, request: StopRequest | None, quiet: bool = False
) -> Iterator[TrainingBar]:
    """Show how many of `total` examples were trained on; yield the bar, called with more.

    A request to end is answered after a step; None: elsewhere.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.0f} examples/s" if task.speed else "")

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        # `Progress(disable=True)` of older Rich prints an empty line
        yield TrainingBar(request, None, total)
        return
    columns = ("{task.description}", BarColumn(), Speed(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield TrainingBar(request, progress, total)
