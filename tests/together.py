"""Many small cases as one test: what parametrization costs for each is more than they do."""

import inspect
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import wraps
from itertools import compress
from typing import Any
from zlib import crc32

import pytest

FAILED = (Exception, pytest.fail.Exception, pytest.skip.Exception)  # a skip would hide the others


def together(names: str, values: Iterable[Any]) -> Callable[[Callable[..., None]], Any]:
    """Run a test for each value, as `pytest.mark.parametrize(names, values)`, but as one test.

    All cases run; those that fail are named.  Several of these multiply; JAX, which compiles each
    operation for each shape and dtype, has every other cell: the other libraries have all.  It is
    not for tests with fixtures of their own, as `tmp_path`: all cases share them.
    """
    keys = [name.strip() for name in names.split(",")]
    rows = [dict(zip(keys, row if len(keys) > 1 else [row], strict=True)) for row in values]

    def decorate(test: Callable[..., None]) -> Any:
        one = getattr(test, "one", test)
        before = getattr(test, "cases", [((), {})])
        cases = [
            ((place, *cell), row | case) for place, row in enumerate(rows) for cell, case in before
        ]

        @wraps(one)
        def run(**fixtures: Any) -> None:
            errors, chosen = [], [case for _, case in cases]
            if getattr(fixtures.get("backend"), "name", "") == "jax":
                chosen = [*compress(chosen, every_other(one.__name__, [cell for cell, _ in cases]))]
            for case in chosen:
                try:
                    one(**fixtures, **case)
                except FAILED as error:
                    error.add_note(", ".join(f"{key} = {case[key]!r:.200}" for key in case))
                    errors.append(error)
            if errors:
                raise BaseExceptionGroup(f"{len(errors)} of {len(chosen)} cases", errors)

        run.__dict__.update(test.__dict__)  # its marks
        parameters = inspect.signature(one).parameters.values()
        left = [each for each in parameters if each.name not in cases[0][1]]
        run.__signature__ = inspect.Signature(left)  # type: ignore[attr-defined]
        run.one, run.cases = one, cases  # type: ignore[attr-defined]
        return run

    return decorate


def every_other(name: str, cells: Sequence[Sequence[Hashable]]) -> list[bool]:
    """Return which cells are of one colour, if they are of at least two rows and two columns.

    It is that of a chessboard's cells.  Which colour depends on the test's name, so that tests of
    one kind have both together.
    """
    axes = [[*dict.fromkeys(values)] for values in zip(*cells, strict=True)]
    if sum(len(axis) > 1 for axis in axes) < 2:
        return [True] * len(cells)
    places = [
        sum(axis.index(value) for axis, value in zip(axes, cell, strict=True)) for cell in cells
    ]
    return [place % 2 != crc32(name.encode()) % 2 for place in places]
