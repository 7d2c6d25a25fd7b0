"""JSON as its standard has it: it knows no NaN and no infinity, and so a reader gets null.

Which values are written belongs elsewhere.
"""

import hashlib
import json
import math
from typing import Any

__all__ = ["json_sha256", "to_json"]


def to_json(content: Any, indent: int | None = None) -> str:
    """Return a dict, list, number, text or None as JSON, with null for what is not finite."""
    return json.dumps(_with_null(content), indent=indent, allow_nan=False)


def json_sha256(content: Any) -> str:
    """Return the SHA-256 of what JSON says, however it is laid out.

    It is that of the text in ASCII with sorted keys and without spaces.
    """
    text = json.dumps(_with_null(content), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _with_null(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _with_null(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_with_null(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
