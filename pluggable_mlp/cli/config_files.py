"""`train --config FILE.toml`: a file of options, which the command line overrides."""

import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer

from pluggable_mlp.cli.options import path

__all__ = ["ConfigOption"]

_NOT_IN_FILES = ("config", "help")


def _take(context: typer.Context, file: Path | None) -> None:
    """Make the options of a file the defaults of the command line's.

    Raises
    ------
    ValueError
        If the file cannot be read, has a key that is not an option, or a value of another kind.
    """
    if file is None:
        return
    options = {
        option.opts[0].removeprefix("--"): option
        for option in context.command.params
        if option.name not in _NOT_IN_FILES
    }
    given = {}
    for key, value in _read(file).items():
        name = key.replace("_", "-")
        if name not in options:
            near = get_close_matches(name, options, n=1)
            hint = (
                f"did you mean {near[0]!r}?" if near else f"expected some of {', '.join(options)}"
            )
            raise ValueError(f"{file}: {key!r} is not an option of {context.info_name}; {hint}")
        is_flag = bool(getattr(options[name], "is_flag", False))
        given[str(options[name].name)] = _value(file, key, value, is_flag)
    context.default_map = {**(context.default_map or {}), **given}


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"--config {file} cannot be read: {error.strerror}") from None
    except ValueError as error:  # of TOML, or of UTF-8
        raise ValueError(f"--config {file} is not a TOML file: {error}") from None


def _value(file: Path, key: str, value: Any, is_flag: bool) -> str | bool:
    """Return a value as the command line would have it; lists are separated by commas."""
    if is_flag and isinstance(value, bool):
        return value
    listed = value if isinstance(value, list) else [value]
    plain = all(isinstance(one, str | int | float) and not isinstance(one, bool) for one in listed)
    if is_flag or not plain:
        expected = "true or false" if is_flag else "a text, a number or a list of these"
        raise ValueError(f"{file}: {key} is {value!r}, expected {expected}")
    return ",".join(map(str, listed))


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        help="TOML file with these options, such as epochs = 10; the command line overrides it.",
        parser=path,
        is_eager=True,
        callback=_take,
    ),
]
