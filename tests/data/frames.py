"""Tables as readers return them."""

import pytest

polars = pytest.importorskip("polars")


def frame_of(**columns):
    """A table of these columns: numbers, or an Enum of texts; None is missing."""
    made = []
    for name, values in columns.items():
        present = [value for value in values if value is not None]
        is_text = any(isinstance(value, str) for value in present)
        kind = polars.Enum(sorted(set(present))) if is_text else polars.Float64
        made.append(polars.Series(name, list(values), dtype=kind))
    return polars.DataFrame(made)
