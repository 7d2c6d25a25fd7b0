"""Errors that end a command: which line is printed, and which exit code they have."""

from pathlib import Path
from traceback import extract_tb

__all__ = ["described"]


def described(error: Exception) -> tuple[int, str]:
    """Return the exit code of an error, and what to say of it: a line for each fault.

    2 for a wrong argument or input, or training that diverged; 3 for a backend that is not
    available, cannot keep to an arithmetic, is out of memory, or fails in an unforeseen way.
    """
    from pluggable_mlp.backends import BackendUnavailable, out_of_memory
    from pluggable_mlp.namespaces import ArithmeticUnavailable
    from pluggable_mlp.run_folders import NotSavedError
    from pluggable_mlp.training import DivergenceError

    if isinstance(error, NotSavedError) and isinstance(error.__cause__, Exception):
        code, words = described(error.__cause__)
        return code, f"{words}\nError: {error}"
    if isinstance(error, BackendUnavailable | ArithmeticUnavailable):
        return 3, str(error)
    if exhausted := out_of_memory(error):
        advice = "use fewer or narrower layers, a smaller batch or float32"
        return 3, f"out of memory: {exhausted}; {advice}"
    if isinstance(error, ValueError | TypeError | OSError | DivergenceError):
        return 2, str(error)
    where = extract_tb(error.__traceback__)[-1]
    place = f"{Path(where.filename).name}, line {where.lineno}, in {where.name}"
    words = (str(error).splitlines() or ["no reason given"])[0]
    return 3, f"unexpected {type(error).__name__} ({place}): {words}"
