"""Do the tests see a fault?  Plant faults, one at a time, in a copy of the tree, and run tests.

The faults are those that raise no error: wrong numbers, bits, bounds or hashes, an option that is
ignored, a state that is overwritten.  For any other fault in changed code: ci/mutmut_changed.sh.

    python ci/mutants.py                  all of them: about 25 minutes on one processor
    python ci/mutants.py --area network   those of ci/faults/network.toml
    python ci/mutants.py --name seed -j 2 those with "seed" in their name, in two copies at once
    python ci/mutants.py --list           what there is; a fault whose place is gone is stale
    python ci/mutants.py --who-sees       which of a fault's test files see it, each run by itself
    python ci/mutants.py --who-sees --tests tests/network/test_mlp.py    and whether this one does

A file of faults holds groups of them, a table "[[faults]]" each:

    file = "pluggable_mlp/plan.py"    where they are planted
    tests = ["tests/test_plan.py"]        what is to see them: files, or tests in them
    only = "not slow_one"                 what pytest's -k takes; by default, quick backends
    needs = "dpnp"                        left out where this module is not installed
    plant = [["what it does", "old text", "new text"]]

The old text stands in the file exactly once.  The tests are run without any fault first.  Tests
that then take more than --seconds hang, which is seen, too.  Exit code 1: a place is stale, a fault
survives, or tests fail without any.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

ROOT = Path(__file__).resolve().parent.parent
FAULTS = ROOT / "ci" / "faults"
LEFT_OUT = (".*", "__pycache__", "*.egg-info", "build", "dist")
SECONDS = 120  # tests that take longer hang: the fault is caught
QUICK = "not [torch and not [jax and not [array_api_strict"
PYTEST = ("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:benchmark")

Item = TypeVar("Item")
Result = TypeVar("Result")

CAUGHT, HUNG = "caught", "hung"
SURVIVED, STALE, BROKEN = "SURVIVED", "STALE", "BROKEN"  # each ends with exit code 1


@dataclass(frozen=True)
class Tests:
    """What pytest is asked to run: files or tests, and what its -k takes."""

    places: tuple[str, ...]
    only: str = QUICK


@dataclass(frozen=True)
class Fault:
    """A replacement of text, and the tests that should detect it."""

    area: str
    file: str
    tests: Tests
    what: str
    old: str
    new: str
    needs: str = ""

    def is_stale(self, root: Path) -> bool:
        """Whether the old text does not stand in its file exactly once."""
        path = root / self.file
        return not path.is_file() or path.read_text(encoding="utf-8").count(self.old) != 1


def read_faults(folder: Path) -> list[Fault]:
    """Return the faults of all files of a folder; a file's name is their area."""
    return [
        Fault(path.stem, group["file"], tests, *texts, needs=group.get("needs", ""))
        for path in sorted(folder.glob("*.toml"))
        for group in tomllib.loads(path.read_text(encoding="utf-8"))["faults"]
        for tests in [Tests(tuple(group["tests"]), group.get("only", QUICK))]
        for texts in group["plant"]
    ]


class Copy:
    """A copy of the tree, whose code is what its tests import.

    Parameters
    ----------
    folder : Path
        Does not exist yet.

    Raises
    ------
    RuntimeError
        If Python finds the package elsewhere.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._complaints: dict[Tests, str] = {}
        shutil.copytree(ROOT, folder, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",  # compiled once, below, and held to the source's hash
        }
        self._python("-m", "compileall", "-q", "--invalidation-mode", "checked-hash", ".")
        code = "import pluggable_mlp.backends.numpy as b, pluggable_mlp as p, tests.conftest as t"
        found, _ = self._python("-c", f"{code}; print(b.__file__, p.__file__, t.__file__)")
        if not all(place.startswith(str(folder)) for place in found.split()):
            raise RuntimeError(f"the copy's tests do not import the copy, but {found}")

    def complaint(self, tests: Tests, seconds: float) -> str:
        """Return what the tests say while nothing is planted, asked once; nothing if they pass."""
        if tests not in self._complaints:
            try:
                self._complaints[tests] = self.failure(tests, seconds)
            except subprocess.TimeoutExpired:
                self._complaints[tests] = f"they take more than {seconds:g} s"
        return self._complaints[tests]

    def failure(self, tests: Tests, seconds: float) -> str:
        """Return the end of what pytest says where a test fails, else nothing.

        Raises
        ------
        subprocess.TimeoutExpired
            If the tests take longer.
        """
        said, code = self._python(*PYTEST, "-k", tests.only, *tests.places, seconds=seconds)
        return said[-2000:] or f"exit code {code}" if code else ""

    @contextmanager
    def holding(self, fault: Fault) -> Iterator[None]:
        """Plant a fault, and take it out again."""
        path = self.folder / fault.file
        right = path.read_text(encoding="utf-8")
        path.write_text(right.replace(fault.old, fault.new), encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(right, encoding="utf-8")

    def _python(self, *arguments: str, seconds: float | None = None) -> tuple[str, int]:
        """Run Python there; return what it printed, and its exit code."""
        with subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder, env=self._environment, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as child:  # fmt: skip
            try:
                output, _ = child.communicate(timeout=seconds)
            finally:
                with suppress(ProcessLookupError):  # with all that it started
                    os.killpg(child.pid, signal.SIGKILL)
        return output, child.returncode


class Copies:
    """Copies of the tree, in which items are processed concurrently."""

    def __init__(self, scratch: Path, count: int) -> None:
        self._free: SimpleQueue[Copy] = SimpleQueue()
        self._count = count
        for number in range(count):
            self._free.put(Copy(scratch / str(number)))

    def map(
        self, function: Callable[[Copy, Item], Result], items: Iterable[Item]
    ) -> Iterator[Result]:
        """Yield function(copy, item) for each item, in their order."""

        def apply(item: Item) -> Result:
            copy = self._free.get()
            try:
                return function(copy, item)
            finally:
                self._free.put(copy)

        with ThreadPoolExecutor(self._count) as threads:
            yield from threads.map(apply, items)


def judge(copy: Copy, fault: Fault, seconds: float) -> tuple[str, str]:
    """Return what the tests make of a fault, and what is to be said of that."""
    if complaint := copy.complaint(fault.tests, seconds):
        return BROKEN, f"its tests fail without it: {complaint}"
    with copy.holding(fault):
        try:
            if copy.failure(fault.tests, seconds):
                return CAUGHT, ""
        except subprocess.TimeoutExpired:
            return HUNG, ""
    return SURVIVED, ""


def run(faults: list[Fault], jobs: int, seconds: float) -> int:
    """Plant the faults and print what becomes of each; return the exit code."""
    verdicts = Counter[str]()

    def report(fault: Fault, verdict: str, remark: str = "", took: float = 0.0) -> None:
        verdicts[verdict] += 1
        print(f"{verdict:8} {took:5.1f} s  {fault.area}: {fault.what}", flush=True)
        if remark:
            print(f"          {remark}", flush=True)

    def timed(copy: Copy, fault: Fault) -> tuple[str, str, float]:
        begin = time.monotonic()
        return *judge(copy, fault, seconds), time.monotonic() - begin

    stale = [fault for fault in faults if fault.is_stale(ROOT)]
    for fault in stale:
        report(fault, STALE)
    present = {needs: not needs or find_spec(needs) for needs in {fault.needs for fault in faults}}
    for needs in (needs for needs in present if not present[needs]):
        print(f"left out what needs {needs}, which is not installed")
    planted = [fault for fault in faults if fault not in stale and present[fault.needs]]
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        copies = Copies(Path(scratch), jobs)
        for fault, outcome in zip(planted, copies.map(timed, planted), strict=True):
            report(fault, *outcome)
    seen = verdicts[CAUGHT] + verdicts[HUNG]
    print(f"{seen} of {len(planted)} caught: {dict(verdicts)}")
    return int(any(verdicts[verdict] for verdict in (SURVIVED, STALE, BROKEN)))


def candidates(fault: Fault, others: Iterable[str]) -> list[Tests]:
    """Return the tests of a fault and other files, divided by file."""
    places: dict[str, tuple[str, ...]] = {}
    for place in fault.tests.places:
        file = place.partition("::")[0]
        places[file] = (*places.get(file, ()), place)
    named = [Tests(group, fault.tests.only) for group in places.values()]
    return named + [Tests((file,)) for file in others if file not in places]


def who_sees(faults: list[Fault], others: Iterable[str], jobs: int, seconds: float) -> int:
    """Print a table of the files that see each fault, and how many each sees alone; return 0."""
    pairs = [
        replace(fault, tests=tests)
        for fault in faults
        if not fault.is_stale(ROOT)
        for tests in candidates(fault, others)
    ]
    sees, alone = Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        copies = Copies(Path(scratch), jobs)
        verdicts = copies.map(lambda copy, pair: judge(copy, pair, seconds)[0], pairs)
        judged = zip(pairs, verdicts, strict=True)
        print("| fault | seen by | not by |\n|---|---|---|")
        for what, group in groupby(judged, lambda judgement: judgement[0].what):
            by: dict[bool, list[str]] = {True: [], False: []}
            for pair, verdict in group:
                if verdict != BROKEN:  # its -k takes none of the file's tests, or they fail anyway
                    by[verdict != SURVIVED].append(pair.tests.places[0].partition("::")[0])
            sees.update(dict.fromkeys(by[False], 0) | dict.fromkeys(by[True], 1))
            alone.update(by[True] if len(by[True]) == 1 else [])
            print(f"| {what} | {', '.join(by[True])} | {', '.join(by[False])} |", flush=True)
    print("\n| file | sees | alone |\n|---|---|---|")
    for file in sorted(sees):
        print(f"| {file} | {sees[file]} | {alone[file]} |")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--area", action="append", help="the name of a file of faults")
    parser.add_argument("--name", default="", help="a part of what a fault does")
    parser.add_argument("--list", action="store_true", help="plant nothing")
    parser.add_argument("--who-sees", action="store_true", help="run one file at a time")
    parser.add_argument("--tests", nargs="+", default=[], help="further files for --who-sees")
    parser.add_argument("--faults", type=Path, default=FAULTS, help="a folder of such files")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for the tests of a fault")
    parser.add_argument("-j", type=int, default=1, help="how many copies of the tree")
    options = parser.parse_args(arguments)
    faults = [
        fault
        for fault in read_faults(options.faults)
        if options.name in fault.what and (options.area is None or fault.area in options.area)
    ]
    if options.who_sees:
        return who_sees(faults, options.tests, options.j, options.seconds)
    if not options.list:
        return run(faults, options.j, options.seconds)
    for fault in faults:
        print(f"{STALE if fault.is_stale(ROOT) else '':6}{fault.area}: {fault.what}")
    return int(any(fault.is_stale(ROOT) for fault in faults))


if __name__ == "__main__":
    raise SystemExit(main())
