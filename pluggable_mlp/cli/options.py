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

from pluggable_mlp.fields import Field, field_of, fields_of
from pluggable_mlp.options import GROUPS, OFTEN_USED, Options, written
from pluggable_mlp.registry import did_you_mean

BackendOption = Annotated[
    str, typer.Option(help="Array library and device: numpy, cupy, cupy:1, torch:cuda, jax, …")
]

SuffixOption = Annotated[
    str, typer.Option(help="Format of data named -, which are read from standard input.")
]


RunArgument = Annotated[
    Path, typer.Argument(help="Folder written by train --output.", metavar="RUN")
]


def with_settings(
    owner: type = Options, *, without: tuple[str, ...] = (), **defaults: object
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each of the settings, and pass it their values in a dict.

    The options replace the parameter `settings` of the command, which makes the `Settings`.

    Parameters
    ----------
    owner : type, default Options
        The class whose fields are the settings.
    without : tuple of str, optional
        Settings that keep their default and have no option.
    **defaults
        Defaults that differ from those of `Settings`.
    """
    settings = {
        name: parameter for name, parameter in fields_of(owner).items() if name not in without
    }
    options, group = [], None
    for name, field in settings.items():
        group = GROUPS.get(name, group)
        panel = None if name in OFTEN_USED else group
        options.append(_option(field, defaults.get(name, field.default), panel))

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(**arguments: object) -> None:
            command(settings={name: arguments.pop(name) for name in settings}, **arguments)

        declared = inspect.signature(command).parameters.values()
        shown = [options if one.name == "settings" else [one] for one in declared]
        run.__signature__ = inspect.Signature([*chain(*shown)])  # type: ignore[attr-defined]
        return run

    return decorate


def source_of(context: typer.Context, name: str) -> str:
    """Return the source of a parameter's value, such as COMMANDLINE or DEFAULT."""
    return getattr(context.get_parameter_source(name), "name", "DEFAULT")


def _option(field: Field, default: object, panel: str | None) -> inspect.Parameter:
    """Return the parameter of a command that is the option of a setting, in a panel of its help."""
    if field.many and default is not None:
        default = written(default)
    shown = typer.Option(help=field.help, parser=_parser(field), rich_help_panel=panel)
    kind: Any = str if field.many else field.kind
    option = Annotated[kind | None, shown]
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=option
    )


def _parser(field: Field) -> Callable[[object], object]:
    """Return a parser of values from text; Typer's own messages do not show the text."""

    def parse(value: object) -> object:
        try:
            return field.parse(value) if isinstance(value, str) else value
        except ValueError as error:
            raise TypeError(error) from None  # Typer drops the message of a ValueError

    parse.__name__ = "text" if field.many else field.kind.__name__  # in older Typer's help
    return parse


def number(name: str, kind: object) -> Callable[[object], object]:
    """Return the parser of an option that is not a setting, but a number of a kind."""
    return _parser(field_of(name, kind))


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
            context.default_map[str(option.name)] = value if is_flag else written(value)
    return file


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        help="TOML file with these options, such as epochs = 10, or the config.json of a run, for "
        "its settings; the command line overrides it.",
        is_eager=True,
        callback=_load_config,
    ),
]
