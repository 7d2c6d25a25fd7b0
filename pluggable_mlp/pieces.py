"""Pieces with their parameters as text: "adamw:beta1=0.95,epsilon=1e-7" and "relu,tanh".

What the names and the parameters mean is for the tables that hold the pieces.
"""

from typing import Any

__all__ = ["parse_piece", "parse_pieces"]

_WORDS = {"true": True, "false": False}


def parse_piece(text: str, what: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the parameters of one piece.

    Parameters
    ----------
    text : str
        "name" or "name:parameter=value,parameter=value"; values are numbers, true or false.
    what : str
        The argument, for the error.

    Raises
    ------
    ValueError
        If the text has another form.
    """
    pieces = parse_pieces(text, what)
    if len(pieces) != 1:
        raise ValueError(f"{what} is {text!r}, expected a single one")
    return pieces[0]


def parse_pieces(text: str, what: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the names and parameters of pieces that are separated by commas.

    Raises
    ------
    ValueError
        If the text has another form.
    """
    pieces: list[tuple[str, dict[str, Any]]] = []
    for part in text.split(","):
        name, colon, first = part.strip().partition(":")
        assignment = first if colon else name
        if colon or "=" not in name:
            pieces.append((name, {}))
        if colon or "=" in name:
            key, equals, value = assignment.partition("=")
            if not (pieces and key and equals):
                raise ValueError(
                    f"{what} is {text!r}, expected name:parameter=value,parameter=value"
                )
            pieces[-1][1][key.strip()] = _value(value.strip(), what, text)
    return pieces


def _value(text: str, what: str, whole: str) -> bool | int | float:
    if text in _WORDS:
        return _WORDS[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise ValueError(f"{what} is {whole!r}, expected a number, true or false where it has {text!r}")
