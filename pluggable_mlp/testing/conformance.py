"""All checks of a backend in one call, for its author: a report, and tests for pytest.

A check is a function that raises, with the grade that requires it; `contract_checks.py` and
`result_checks.py` have the checks.
"""

import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias
from unittest import SkipTest

import numpy as np

from pluggable_mlp.arrays.shortcuts import backend_context
from pluggable_mlp.backends import Abilities, Backend
from pluggable_mlp.backends.transfer import HostArray
from pluggable_mlp.fields import choose

if TYPE_CHECKING:
    from pytest import MarkDecorator  # noqa: PT013

Function: TypeAlias = Callable[[Backend], None]

PASSED, FAILED, EXPECTED = "passed", "failed", "expected to fail"
LEFT_OUT, UNEXPECTED = "not offered", "passed unexpectedly"


class Grade(IntEnum):
    """How far a backend can be relied on; each grade includes those below it."""

    NONE = 0
    RUNS = 1
    AGREES = 2
    SAME_BITS = 3

    def __str__(self) -> str:
        return _WORDS[self]


_WORDS = ("does not run", "runs", "agrees within bounds", "same bits as the recordings")


class Fault(AssertionError):  # noqa: N818 (it is the backend's)
    """Raised if a backend does not do what its contract says."""


class NotOffered(SkipTest):
    """Raised if a backend lacks the optional ability that is checked; pytest skips the test."""


@dataclass(frozen=True)
class Check:
    """A check of a backend.

    Attributes
    ----------
    name : str
    grade : Grade
        The lowest grade that requires it.
    function : callable Backend -> None
        It raises `Fault`, or whatever the backend raises, if the check fails, and `NotOffered` if
        the backend lacks the ability that it checks.
    in_context : bool, default True
        Whether the function runs in the context of the backend.
    """

    name: str
    grade: Grade
    function: Function
    in_context: bool = True

    def __call__(self, backend: Backend) -> None:
        """Check a backend."""
        with backend_context(backend if self.in_context else None):
            self.function(backend)


CHECKS: dict[str, Check] = {}
"""All checks by their names, in the order in which they are made."""


def check(
    grade: Grade, name: str = "", *, in_context: bool = True
) -> Callable[[Function], Function]:
    """Return a decorator that adds a function to the checks, under this name or its own."""

    def add(function: Function) -> Function:
        key = name or function.__name__
        CHECKS[key] = Check(key, grade, function, in_context)
        return function

    return add


def expect(condition: bool, message: str) -> None:
    """Raise `Fault` with the message unless the condition holds."""
    if not condition:
        raise Fault(message)


def expect_bits(what: str, actual: HostArray, expected: HostArray) -> None:
    """Raise `Fault` unless an array is NumPy's, with this dtype, this shape and these bits."""
    kinds = [(type(x).__name__, x.dtype.name, x.shape) for x in (actual, expected)]
    expect(kinds[0] == kinds[1], f"{what}: {kinds[0]}, expected {kinds[1]}")
    bits = [x.tobytes() for x in (actual, expected)]
    if bits[0] != bits[1]:
        one, other = (np.frombuffer(x, f"V{expected.itemsize}") for x in bits)
        (places,) = np.nonzero(one != other)
        first, right = (repr(x.reshape(-1)[places[0]]) for x in (actual, expected))
        expect(
            False,
            f"{what} differs in {len(places)} of {expected.size} elements, the first is {first}, "
            f"expected {right}",
        )


@dataclass(frozen=True)
class Result:
    """The result of a check.

    Attributes
    ----------
    check : Check
    outcome : {"passed", "failed", "expected to fail", "not offered", "passed unexpectedly"}
    message : str
        Why it failed, or what is not offered; empty if it passed.
    """

    check: Check
    outcome: str
    message: str = ""


@dataclass(frozen=True)
class ConformanceReport:
    """The result of `check_backend`.

    Attributes
    ----------
    backend : str
        The backend's name and device, as for `get_backend`.
    versions : dict of str to str
        The result of `Backend.versions`.
    results : tuple of Result
        One for each check, in their order.
    """

    backend: str
    versions: dict[str, str]
    results: tuple[Result, ...]

    @classmethod
    def of(cls, backend: Backend, results: Iterable[Result]) -> Self:
        """Return the report of a backend, with these results of its checks."""
        name = f"{backend.name}:{backend.device}"
        return cls(name, backend.versions(), tuple(results))

    @property
    def faults(self) -> tuple[Result, ...]:
        """The results that are not as expected."""
        return tuple(result for result in self.results if result.outcome in (FAILED, UNEXPECTED))

    @property
    def grade(self) -> Grade:
        """The highest grade whose checks, and those of all grades below it, passed.

        A check that fails as expected counts as failed.
        """
        failed = [r.check.grade for r in self.results if r.outcome in (FAILED, EXPECTED)]
        return Grade(min(failed) - 1) if failed else Grade.SAME_BITS

    def __str__(self) -> str:
        """Return a table of the checks, and the grade."""
        lines = [f"{self.backend} ({', '.join(' '.join(v) for v in self.versions.items())})", ""]
        lines += [line_of(result) for result in self.results]
        return "\n".join([*lines, "", f"grade: {self.grade}"])


def line_of(result: Result) -> str:
    """Return a line of the table."""
    name = result.check.name
    line = f"{result.outcome:20}{name}"
    return f"{line}: {result.message}" if result.message else line


def check_backend(
    backend: Backend,
    *,
    expected_failures: Mapping[str, str] = {},
    on_fail: Literal["raise", "warn"] | None = "raise",
) -> ConformanceReport:
    """Check whether a backend does what its contract says, and train on it.

    It takes seconds to minutes; on libraries that compile each operation, the recorded runs take
    most of that time.

    Parameters
    ----------
    backend : Backend
        The backend, on the device to be checked.
    expected_failures : mapping of str to str
        The names of checks that are known to fail, with the reasons.  One that passes anyway is
        a fault of this list.
    on_fail : {"raise", "warn"} or None, default "raise"
        How to treat faults: an `AssertionError` after the last check, which names all of them; a
        warning for each; or only the report.

    Returns
    -------
    ConformanceReport

    Raises
    ------
    AssertionError
        With ``on_fail="raise"``, if a check failed unexpectedly, or passed although it was expected
        to fail.
    ValueError
        If an argument names a check, or a choice, that does not exist.

    Examples
    --------
    >>> from pluggable_mlp import get_backend
    >>> from pluggable_mlp.testing import check_backend
    >>> report = check_backend(get_backend("numpy"))
    >>> print(report.grade)
    same bits as the recordings
    """
    if on_fail not in ("raise", "warn", None):
        raise ValueError(f"on_fail is {on_fail!r}, expected 'raise', 'warn' or None")
    report = ConformanceReport.of(backend, results_of(backend, expected_failures))
    lines = [line_of(result) for result in report.faults]
    if on_fail == "warn":
        for line in lines:
            warnings.warn(f"{report.backend}: {line}", stacklevel=2)
    elif on_fail == "raise" and lines:
        raise Fault("\n".join([f"{report.backend}:", *lines]))
    return report


def results_of(backend: Backend, expected_failures: Mapping[str, str]) -> Iterator[Result]:
    """Yield the result of each check when it is done; see `check_backend`."""
    for name in expected_failures:
        choose(CHECKS, name, "expected_failures")
    first: dict[str, str] = {}
    for check in sorted(CHECKS.values(), key=attrgetter("grade")):
        result = _result_of(check, backend, expected_failures.get(check.name))
        name = first.setdefault(result.message, check.name)
        if result.outcome == FAILED and name != check.name:
            result = replace(result, message=f"as {name}")
        yield result


def _result_of(check: Check, backend: Backend, expected: str | None) -> Result:
    try:
        check(backend)
    except NotOffered as reason:
        return Result(check, LEFT_OUT, str(reason))
    except Exception as error:  # whatever a backend raises
        if expected is not None:
            return Result(check, EXPECTED, expected)
        return Result(check, FAILED, _words_of(error))
    if expected is not None:
        return Result(check, UNEXPECTED, f"it was expected to fail: {expected}")
    return Result(check, PASSED)


def _words_of(error: Exception) -> str:
    """Describe a fault in a line; for an error that is not a check's own, with type and place."""
    words = (str(error).splitlines() or [""])[0]
    if isinstance(error, Fault):
        return words
    place = traceback.extract_tb(error.__traceback__)[-1]
    location = f"{'/'.join(Path(place.filename).parts[-2:])}, line {place.lineno}"
    of_what = "".join(f", with {note}" for note in getattr(error, "__notes__", ()))
    return f"{type(error).__name__}: {words} ({location}{of_what})"


def ability(backend: Backend, name: str) -> Any:
    """Return a member of `Abilities`; raise `NotOffered` if a backend has only the default."""
    member, default = (getattr(owner, name, None) for owner in (type(backend), Abilities))
    is_default = getattr(member, "__func__", member) is getattr(default, "__func__", default)
    if is_default or getattr(backend, name, None) is None:
        raise NotOffered(f"it has no {name} of its own")
    return getattr(backend, name)


def floats(backend: Backend) -> list[type[np.floating[Any]]]:
    """Return the floating types of the device: float32, and float64 if it has that."""
    missing = getattr(backend, "missing_dtypes", ())
    return [dtype for dtype in (np.float32, np.float64) if dtype.__name__ not in missing]


def parametrize_with_checks(
    backends: Iterable[Backend],
    *,
    expected_failures: Mapping[str, str] = {},
) -> "MarkDecorator":
    """Return a decorator of pytest that makes a test for each backend and each check.

    Parameters
    ----------
    backends : iterable of Backend
        Those to check.
    expected_failures : mapping of str to str
        As for `check_backend`: these tests are expected to fail, strictly.

    Returns
    -------
    pytest.MarkDecorator
        For a function (backend, check) that calls ``check(backend)``.

    Raises
    ------
    ValueError
        If `expected_failures` names a check that does not exist.

    Examples
    --------
    ::

        @parametrize_with_checks([MyBackend()])
        def test_the_contract(backend, check):
            check(backend)
    """
    import pytest

    for name in expected_failures:
        choose(CHECKS, name, "expected_failures")
    params = []
    for backend in backends:
        for check in CHECKS.values():
            reason = expected_failures.get(check.name)
            marks = [] if reason is None else [pytest.mark.xfail(reason=reason, strict=True)]
            test_id = f"{backend.name}-{check.name}"
            params.append(pytest.param(backend, check, marks=marks, id=test_id))
    return pytest.mark.parametrize(("backend", "check"), params)
