"""Many small cases as one test: what parametrization costs for each is more than they do."""

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import pytest

FAILED = (Exception, pytest.fail.Exception, pytest.skip.Exception)  # a skip would hide the others


def together(names: str, values: Iterable[Any]) -> Callable[[Callable[..., None]], Any]:
    """Run a test for each value, as `pytest.mark.parametrize(names, values)`, but as one test.

    All cases run; those that fail are named.  Several of these multiply.  It is not for tests with
    fixtures of their own, as `tmp_path`: all cases share them.
    """
    keys = [name.strip() for name in names.split(",")]
    rows = [dict(zip(keys, row if len(keys) > 1 else [row], strict=True)) for row in values]

    def decorate(test: Callable[..., None]) -> Any:
        one = getattr(test, "one", test)
        cases = [row | case for row in rows for case in getattr(test, "cases", [{}])]

        @wraps(one)
        def run(**fixtures: Any) -> None:
            errors = []
            for case in cases:
                try:
                    one(**fixtures, **case)
                except FAILED as error:
                    error.add_note(", ".join(f"{key} = {case[key]!r:.200}" for key in case))
                    errors.append(error)
            if errors:
                raise BaseExceptionGroup(f"{len(errors)} of {len(cases)} cases", errors)

        run.__dict__.update(test.__dict__)  # its marks
        parameters = inspect.signature(one).parameters.values()
        left = [each for each in parameters if each.name not in cases[0]]
        run.__signature__ = inspect.Signature(left)  # type: ignore[attr-defined]
        run.one, run.cases = one, cases  # type: ignore[attr-defined]
        return run

    return decorate
