"""`pluggable-mlp train`: train, print the measures of each epoch, save the run in a folder."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pluggable_mlp.cli.console import Interrupted, ending_when_asked, log, progress_bar
from pluggable_mlp.cli.options import BackendOption, ConfigOption, source_of, with_settings
from pluggable_mlp.cli.processes import DistributedOption, Processes
from pluggable_mlp.fields import choose, pluralize, require
from pluggable_mlp.files import Json, make_folder, to_json
from pluggable_mlp.training.metrics import METRICS

if TYPE_CHECKING:
    from pluggable_mlp.distributed.communicators import MPI
    from pluggable_mlp.runs.folder import RunFolder
    from pluggable_mlp.runs.run import Run

_OUTPUT = "Output"  # a panel of the help


@with_settings()
def train(
    context: typer.Context,
    *,
    backend: BackendOption = "numpy",
    settings: Json,
    output: Annotated[
        Path | None,
        typer.Option(help="New folder for the model, its metrics and settings."),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace an existing run in --output.", rich_help_panel=_OUTPUT
        ),
    ] = False,
    resume: Annotated[
        Path | None,
        typer.Option(
            help="Folder written by train --output: go on from its last checkpoint, with its "
            "settings. --epochs may be raised, --data and --test name new paths of the same data.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    checkpoint_minutes: Annotated[
        float,
        typer.Option(
            help="How often to save a checkpoint within an epoch.",
            min=0.0,
            rich_help_panel=_OUTPUT,
        ),
    ] = 5.0,
    log: Annotated[
        str | None,
        typer.Option(
            help="tensorboard: write the numbers of each epoch to --output, too.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print only the last line.", rich_help_panel=_OUTPUT)
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print JSON: a line per epoch, then the summary.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    distributed: DistributedOption = None,
    config: ConfigOption = None,
) -> None:
    """Train a network and report its results on the test part."""
    from pluggable_mlp.arrays.shortcuts import backend_context
    from pluggable_mlp.distributed.communicators import backend_of_process
    from pluggable_mlp.options import Options
    from pluggable_mlp.runs.folder import RunFolder, lock_run, refuse_used_folder
    from pluggable_mlp.runs.run import Run

    command = "train" if resume is None else "train --resume"
    with Processes(distributed, command) as processes, ExitStack() as stack:
        if log is not None:
            choose({"tensorboard": 0}, log, "log")
            require("tensorboardX", "tensorboard", "writing the log")
            if output is None and resume is None:
                raise ValueError(f"log is {log!r}, expected --output, the folder to write it to")
        communicator, writes = processes.communicator, processes.writes
        lock = None
        if resume is not None:
            lock = processes.do_first(partial(lock_run, resume))
            if lock is not None:
                stack.callback(lock.release)
            run, output = _resume(context, resume, backend, settings, communicator), resume
        else:
            if output is not None and writes:
                refuse_used_folder(output, overwrite)
            local_backend = backend_of_process(backend, communicator)
            run = Run.of(Options(**settings), local_backend, communicator)
        stack.enter_context(backend_context(run.backend))
        report = _Report(run, quiet, as_json)
        report.begin()
        processes.request = stack.enter_context(ending_when_asked(is_heard=writes))
        run_folder: AbstractContextManager[RunFolder | None] = nullcontext()
        if output is not None and writes:
            run_folder = RunFolder(output, run, overwrite, lock, checkpoint_minutes)
        try:
            with run_folder as folder, processes.announcing_failure():
                place = None if folder is None or log is None else folder.path / log
                with _tensorboard(place) as write_log:
                    _train(run, folder, processes, report, write_log)
        finally:  # when it is saved, or cannot be
            if run.history and writes:
                report.end()
        code = processes.last_code()
    raise typer.Exit(code)


def _resume(
    context: typer.Context,
    folder: Path,
    backend: str,
    settings: Json,
    communicator: "MPI | None",
) -> "Run":
    """Return the run to resume; ValueError if a setting differs from its own."""
    from pluggable_mlp.runs.checkpoints import resume_run

    stated = {name for name in context.params if source_of(context, name) != "DEFAULT"}
    for name in ("output", "overwrite"):
        if source_of(context, name) == "COMMANDLINE":
            raise ValueError(f"--{name} is given, expected --resume {folder} without it")
    run = resume_run(
        folder,
        backend if "backend" in stated else None,
        {name: value for name, value in settings.items() if name in stated},
        communicator,
    )
    if run.is_done:
        done, epochs = len(run.history), run.plan.epochs
        log(f"The run ended after {done} of {epochs} epochs; nothing is left to train.")
    return run


def _train(
    run: "Run",
    folder: "RunFolder | None",
    processes: Processes,
    report: "_Report",
    write_log: Callable[[Json], None],
) -> None:
    """Train to the end, or until it is requested, with a line for each epoch and a progress bar."""
    total = run.plan.epochs * run.training_examples
    logged: set[str] = set()

    def attempt(save: Callable[[], None]) -> None:
        """Log write errors, each once, and continue; a closed pipe ends training."""
        try:
            save()
        except BrokenPipeError:
            raise
        except OSError as error:
            if str(error) not in logged:
                logged.add(str(error))
                log(f"Warning: {error}; training goes on")

    try:
        with progress_bar(total, report.has_bar) as update:
            update(advance=run.examples_done)
            for progress in run.train():
                update(advance=progress.count)
                if progress.ended:
                    line = run.history[-1]
                    update(description=report.describe(line))
                    if folder is None:
                        report.epoch(line)
                    else:
                        attempt(folder.record)
                        attempt(partial(write_log, line))
                        attempt(partial(report.epoch, line))
                else:
                    code = processes.stop_code()
                    if folder is not None:
                        attempt(partial(folder.keep, progress.position, now=code is not None))
                    if code is not None:
                        raise Interrupted(code)
    except Interrupted:
        log(f"interrupted after {pluralize(len(run.history), 'whole epoch')}")
    except BrokenPipeError:
        pass  # the last line raises it again, when the run is saved


@contextmanager
def _tensorboard(folder: Path | None) -> Iterator[Callable[[Json], None]]:
    """Yield a function that writes an epoch's numbers for TensorBoard, if there is a folder."""
    if folder is None:
        yield lambda _: None
        return
    # Not a SummaryWriter, whose thread would meet the errors.
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.summary import scalar

    writers: list[EventsWriter] = []  # none before the first epoch

    def write(line: Json) -> None:
        if not writers:
            make_folder(folder)
            # A unique name: otherwise a run resumed within a second would overwrite the file.
            writers.append(EventsWriter(str(folder / "events"), f".{time.time_ns()}"))
        for key, value in line.items():
            if isinstance(value, float):
                summary = scalar(key.replace("_", "/", 1), value)
                event = Event(wall_time=time.time(), step=line["epoch"], summary=summary)
                writers[0].write_event(event)
        writers[0].flush()

    try:
        yield write
    finally:
        for writer in writers:
            with suppress(OSError):  # which `write` has raised
                writer.close()


class _Report:
    """What training prints to standard output: words, or JSON."""

    def __init__(self, run: "Run", quiet: bool, as_json: bool) -> None:
        self._run, self.quiet, self._as_json = run, quiet, as_json
        # Where both streams are the same terminal, a bar shows the measures of an epoch.
        self.has_bar = not (quiet or as_json) and os.isatty(1) and os.isatty(2)

    def begin(self) -> None:
        """Print the preparation of the data."""
        if not (self.quiet or self._as_json):
            run = self._run
            for line in [*run.preparation.in_words(), run.plan.in_words()]:
                if line:
                    typer.echo(line)

    def epoch(self, line: Json) -> None:
        """Print the measures of an epoch, unless a bar shows them."""
        if self._as_json and not self.quiet:
            typer.echo(to_json(line))
        elif not (self.quiet or self.has_bar):
            typer.echo(f"{self.describe(line)}  {line['seconds']:.2f} s")

    def describe(self, line: Json) -> str:
        """Describe the measures of an epoch."""
        words = [
            f"epoch {line['epoch']:3d}/{self._run.plan.epochs}",
            f"train loss {line['train_loss']:.6f}",
            self._quality(line, "validation"),
        ]
        return "  ".join(filter(None, words))

    def end(self) -> None:
        """Print the summary."""
        summary = self._run.summary()
        if self._as_json:
            typer.echo(to_json(summary))
            return
        kept = summary["kept_epoch"]
        best = f", the best of which, {kept}, is kept," if kept < summary["epochs"] else ""
        reached = self._quality(summary, "test") or f"train loss {summary['train_loss']:.6f}"
        typer.echo(
            f"{reached} after {pluralize(summary['epochs'], 'epoch')}{best} in "
            f"{summary['seconds']:.1f} s "
            f"({summary['examples_per_second']:,.0f} examples/s, {summary['backend']} on "
            f"{summary['device']}, {summary['dtype']})"
        )

    def _quality(self, measured: Json, part: str) -> str:
        """Describe the metric, or the first measure of the task; empty if nothing was measured."""
        name = METRICS[self._run.plan.options.metric or "accuracy"].measure
        if name != "accuracy" and f"{part}_{name}" in measured:
            return f"{part} {name.replace('_', ' ')} {measured[f'{part}_{name}']:.6g}"
        if f"{part}_accuracy" in measured:
            return f"{part} accuracy {measured[f'{part}_accuracy']:.2%}"
        return f"{part} R² {measured[f'{part}_r2']:.4f}" if f"{part}_r2" in measured else ""
