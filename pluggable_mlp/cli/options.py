"""The options of `Settings`, from the command line or from a file (`--config`), and those of runs.

The name, the values and the help of a setting come from its annotation in `options.py`.
"""

import inspect
import tomllib
from collections.abc import Callable
from functools import wraps
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from pluggable_mlp.fields import Field, fields_of
from pluggable_mlp.options import GROUPS, OFTEN_USED, Options
from pluggable_mlp.registry import did_you_mean

_NAMES = {str: "text", int: "integer", float: "float"}

BackendOption = Annotated[
    str, typer.Option(help="Array library and device: numpy, cupy, cupy:1, torch:cuda, jax, …")
]

SuffixOption = Annotated[
    str, typer.Option(help="Format of data named -, which are read from standard input.")
]


def path(text: str) -> Path:
    """Return the path; refuse an empty text, which would be the current folder."""
    if not text:
        raise typer.BadParameter("it is empty, expected a path")
    return Path(text)


RunArgument = Annotated[
    Path, typer.Argument(help="Folder written by train --output.", metavar="RUN", parser=path)
]


def with_settings(
    *, without: tuple[str, ...] = (), **defaults: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each of the `Settings`, and pass it their values in a dict.

    The options replace the parameter `settings` of the command, which makes the `Settings`: the
    values are not checked before.

    Parameters
    ----------
    without : tuple of str, optional
        Settings that keep their default and have no option.
    **defaults
        Those that are not the defaults of `Settings`.
    """
    settings = {name: of for name, of in fields_of(Options).items() if name not in without}
    options, group = [], None
    for name, field in settings.items():
        group = GROUPS.get(name, group)
        panel = None if name in OFTEN_USED else group
        options.append(_option(field, defaults.get(name, field.default), panel))

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(**given: Any) -> None:
            texts = {name: given.pop(name) for name in settings}
            values = {
                name: None if text is None else settings[name].parse(text)
                for name, text in texts.items()
            }
            command(settings=values, **given)

        declared = inspect.signature(command).parameters.values()
        shown = [options if one.name == "settings" else [one] for one in declared]
        run.__signature__ = inspect.Signature([*chain(*shown)])  # type: ignore[attr-defined]
        return run

    return decorate


def source_of(context: typer.Context, name: str) -> str:
    """Return the source of a parameter's value, such as COMMANDLINE or DEFAULT."""
    return getattr(context.get_parameter_source(name), "name", "DEFAULT")


def _option(field: Field, default: Any, panel: str | None) -> inspect.Parameter:
    """Return the parameter of a command that is the option of a setting, in a panel of its help."""
    kind: Any = field.kind
    if field.many:
        kind, default = str, None if default is None else _as_text(default)
    shown = typer.Option(help=field.help, parser=_PARSERS[kind], rich_help_panel=panel)
    option = Annotated[kind | None, shown]
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=option
    )


def _as_given(name: str) -> Callable[[object], str]:
    """Return a parser that leaves values as texts: Typer's own messages do not show the value."""

    def as_text(value: object) -> str:
        return str(value)

    as_text.__name__ = name  # in older Typer's help
    return as_text


_PARSERS = {kind: _as_given(name) for kind, name in _NAMES.items()}


def _as_text(value: Any) -> str:
    """Return a value as the command line has it: lists are separated by commas."""
    return ",".join(map(str, value if isinstance(value, list | tuple) else [value]))


def _load_config(context: typer.Context, file: Path | None) -> Path | None:
    """Make the options of a file the defaults of the command line's, and return the file."""
    if file is None:
        return None
    from pluggable_mlp.runs.saved import read_config

    try:
        is_run = file.suffix == ".json"
        values = read_config(file)["settings"] if is_run else tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        fault = getattr(error, "strerror", None) or error
        raise ValueError(f"--config {file} cannot be read: {fault}") from None
    options = {one.opts[0].removeprefix("--"): one for one in context.command.params}
    context.default_map = {}
    for key, value in values.items():
        option = options.get(name := key.replace("_", "-"))
        if option is None or name == "config":
            hint = did_you_mean(name, options)
            raise ValueError(f"{file}: {key!r} is not an option of {context.info_name}{hint}")
        if value is not None:
            is_flag = getattr(option, "is_flag", False)
            context.default_map[str(option.name)] = value if is_flag else _as_text(value)
    return file


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        help="TOML file with these options, such as epochs = 10, or the config.json of a run, for "
        "its settings; the command line overrides it.",
        parser=path,
        is_eager=True,
        callback=_load_config,
    ),
]
