"""The options of `Options`, from the command line or from a file (`--config`), and those of runs.

The name, the values and the help of a setting come from its annotation in `options.py`.
"""

import dataclasses
import inspect
import tomllib
from collections.abc import Callable
from functools import wraps
from itertools import chain
from pathlib import Path
from typing import Annotated, get_args

import typer

from pluggable_mlp.fields import did_you_mean, kind_of, parse
from pluggable_mlp.files import blame, read_file
from pluggable_mlp.options import GROUPS, OFTEN_USED, Options, format_value

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

    The options replace the parameter `settings` of the command, which makes the `Options`.

    Parameters
    ----------
    owner : type, default Options
        The class whose fields are the settings.
    without : tuple of str, optional
        Settings that keep their default and have no option.
    **defaults
        Defaults that differ from those of `Options`.
    """
    fields = [field for field in dataclasses.fields(owner) if field.name not in without]
    options, group = [], None
    for field in fields:
        group = GROUPS.get(field.name, group)
        panel = None if field.name in OFTEN_USED else group
        kind, words = kind_of(field).__name__, get_args(field.type)[-1]
        # A text for Typer, whose own messages do not show the value.
        shown = Annotated[
            str | None, typer.Option(help=words, metavar=kind.upper(), rich_help_panel=panel)
        ]
        option = inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY)
        default = defaults.get(field.name, field.default)
        options.append(option.replace(default=default, annotation=shown))

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(**arguments: object) -> None:
            settings = {}
            for field in fields:
                value = arguments.pop(field.name)
                settings[field.name] = parse(field, value) if isinstance(value, str) else value
            command(settings=settings, **arguments)

        declared = inspect.signature(command).parameters.values()
        shown = [options if one.name == "settings" else [one] for one in declared]
        run.__signature__ = inspect.Signature([*chain(*shown)])  # type: ignore[attr-defined]
        return run

    return decorate


def source_of(context: typer.Context, name: str) -> str:
    """Return the source of a parameter's value, such as COMMANDLINE or DEFAULT."""
    return getattr(context.get_parameter_source(name), "name", "DEFAULT")


def _load_config(context: typer.Context, file: Path | None) -> Path | None:
    """Make the options of a file the defaults of the command line's, and return the file."""
    if file is None:
        return None
    from pluggable_mlp.runs.saved import read_config

    if file.suffix == ".json":
        values = read_config(file)["settings"]
    else:
        text = read_file(file, "a TOML file of options")
        with blame(file):
            values = tomllib.loads(text.decode())
    options = {one.opts[0].removeprefix("--"): one for one in context.command.params}
    context.default_map = {}
    for key, value in values.items():
        option = options.get(name := key.replace("_", "-"))
        if option is None or name == "config":
            hint = did_you_mean(name, options)
            raise ValueError(f"{file}: {key!r} is not an option of {context.info_name}{hint}")
        if value is not None:
            context.default_map[str(option.name)] = format_value(value)
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
