"""Change every kind of file that the program reads, and see that it answers as it should.

    python ci/fuzz.py [--cases 10000] [--seed 0] [--only NAME] [--case NUMBER]

Each case changes one file (`fuzz_changes.py`), and runs one command on it.  Expected is exit code
0, 2, or 3 with "out of memory"; of `verify`, which repeats the run, also 1.  Nothing may be
"unexpected", hang or end the process, and no file of ours (a run's, a saved estimator) may be
accepted that changes what the command gives.

Cases run in processes with limited memory, of which none may use much more than what a file may
become.  A process that a case ends, or that hangs, is replaced.
Case NUMBER is the same in each call with a seed; `--case` runs it alone, and leaves its files.
Exit code 1: a case failed.
"""

import argparse
import contextlib
import io
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # to find the package ci

from ci.fuzz_changes import change
from ci.fuzz_world import TARGETS, Target, make_world

SECONDS = 120  # after which a case hangs
MEMORY = 2 * 2**30  # that it may ask for beyond what the process has
GROWTH = 2**29  # that it may use: some copies of the 64 MiB that a file may become


class Finding(NamedTuple):
    """A case that failed."""

    number: int
    target: str
    command: str
    fault: str


class Outcome(NamedTuple):
    """What a command gave: `effect` is compared between a changed file and the original one."""

    code: int
    effect: str
    errors: str


def run(arguments: Sequence[str], effect: str) -> Outcome:
    """Run a command, or load an estimator, in the present folder."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = _load_estimator() if arguments[0] == "estimator" else _call(arguments)
    written = code == 0 and bool(effect)
    found = Path(effect).read_text("utf-8") if written else out.getvalue()
    return Outcome(code, found, err.getvalue())


def _call(arguments: Sequence[str]) -> int:
    from pluggable_mlp.cli import main

    sys.argv = ["pluggable-mlp", *arguments]
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    raise AssertionError("main returned")


def _load_estimator() -> int:
    """Print what a saved estimator predicts, with the exit codes of commands."""
    import numpy as np

    from pluggable_mlp import MLPClassifier
    from pluggable_mlp.cli.app import described

    try:
        loaded = MLPClassifier.load("estimator.safetensors")
        print(loaded.predict_proba(np.load("new.npy")).tolist(), loaded.get_params())
    except Exception as error:
        code, words = described(error)
        print(words, file=sys.stderr)
        return code
    return 0


@cache
def expected(world: Path, arguments: tuple[str, ...], effect: str) -> str:
    """Return what a command gives for the original files.

    Raises
    ------
    RuntimeError
        If it fails.
    """
    _fresh(world)
    outcome = run(arguments, effect)
    if outcome.code:
        raise RuntimeError(f"{' '.join(arguments)} fails without a change: {outcome.errors}")
    return outcome.effect


def _fresh(world: Path) -> None:
    """Empty the present folder, and put the original files there."""
    here = Path.cwd()
    os.chdir(here.parent)
    shutil.rmtree(here)
    shutil.copytree(world, here)
    os.chdir(here)


class Cases(NamedTuple):
    """The cases of a seed.

    Parameters
    ----------
    world : Path
        The original files.
    seed : int
    only : str
        A part of the name of each target.
    """

    world: Path
    seed: int
    only: str

    def draw(self, number: int) -> tuple[Target, str, Random]:
        """Return the target of a case, the kind of its change, and the random numbers for it."""
        random = Random(f"{self.seed} {number}")
        targets = [target for target in TARGETS if self.only in target.name]
        target = random.choices(targets, [target.weight for target in targets])[0]
        return target, random.choice(target.kinds), random

    def run(self, number: int) -> Finding | None:
        """Run a case in the present folder; return what is wrong with it, if anything is."""
        target, kind, random = self.draw(number)
        arguments, effect = random.choice(target.commands)
        before = expected(self.world, arguments, effect)
        _fresh(self.world)
        (path,) = Path().glob(target.path)
        original = path.read_bytes()
        changed = original
        while changed == original:
            changed = change(kind, original, random)
        path.write_bytes(changed)
        Path("/proc/self/clear_refs").write_text("5")  # the peak is from now on
        used = memory("VmRSS")
        outcome = run(arguments, effect)
        grown = memory("VmHWM") - used
        verifies = arguments[0] == "verify"
        forged = verifies and kind == "forged"
        fault = fault_in(outcome, before, target, verifies=verifies, forged=forged)
        fault = fault or (f"it takes {grown // 2**20} MiB" if grown > GROWTH else "")
        return Finding(number, target.name, " ".join(arguments), fault) if fault else None


def memory(name: str) -> int:
    """Return the memory of this process in bytes, now (VmRSS) or at its peak (VmHWM)."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition(f"{name}:")[2].split()[0])


def fault_in(outcome: Outcome, before: str, target: Target, *, verifies: bool, forged: bool) -> str:
    """Return what is wrong with an outcome; a forged certificate states its own hash."""
    code, effect, errors = outcome
    last = (errors.splitlines() or [""])[-1]
    if "Traceback" in errors:
        return last
    if code == 3 and "out of memory" not in errors:
        return f"exit code 3: {last}"
    if code not in ((0, 1, 2, 3) if verifies else (0, 2, 3)):
        return f"exit code {code}: {last}"
    if code == 2 and not last:
        return "exit code 2 without a word"
    if code == 0 and target.is_ours and not forged and effect != before:
        return f"accepted, with an effect: {_first_difference(before, effect)}"
    return ""


def _first_difference(before: str, after: str) -> str:
    pairs = enumerate(zip(before, after, strict=False))
    same = next((place for place, (one, other) in pairs if one != other), 0)
    part = slice(max(0, same - 20), same + 40)
    return f"{before[part]!r} became {after[part]!r}"


def work(pipe: Any, folder: Path, cases: Cases, numbers: Sequence[int]) -> None:
    """Run cases one after the other in a process of their own, and send a word of each."""
    from pluggable_mlp.cli import app  # noqa: F401  (what commands import is no case's memory)

    os.chdir(folder)
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    pipe.send("ready")
    for number in numbers:  # polars keeps the address space of what it has given back
        resource.setrlimit(resource.RLIMIT_AS, (memory("VmSize") + MEMORY, most))
        pipe.send(cases.run(number))


def findings(folder: Path, cases: Cases, count: int) -> Iterator[Finding]:
    """Run the first so many cases in processes that are replaced; yield those that fail."""
    context, numbers = multiprocessing.get_context("spawn"), [*range(count)]
    while numbers:
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, folder, cases, numbers), daemon=True)
        process.start()
        theirs.close()
        ours.recv()  # "ready": to start takes as long as it takes
        fault = ""
        while numbers and not fault:
            try:
                fault = "" if ours.poll(SECONDS) else "it hangs"
                found = None if fault else ours.recv()
            except EOFError:
                process.join()
                fault, found = f"it ended the process with {process.exitcode}", None
            number = numbers.pop(0)
            if fault:
                found = Finding(number, cases.draw(number)[0].name, "", fault)
            if found is not None:
                yield found
        process.kill()
        process.join()


def main() -> int:
    """Run the cases that were asked for, and print those that failed."""
    parser = argparse.ArgumentParser(description="Change files and see what commands make of them.")
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="a part of the name of targets")
    parser.add_argument("--case", type=int, help="run this one alone, and leave its files")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    cases = Cases(make_world(folder / "world"), given.seed, given.only)
    (folder / "case").mkdir()
    if given.case is not None:
        os.chdir(folder / "case")
        print(folder / "case", cases.run(given.case), sep="\n")
        return 0
    failed: Counter[str] = Counter()
    for each in findings(folder / "case", cases, given.cases):
        print(f"{each.number}: {each.target}: {each.command}: {each.fault}", flush=True)
        failed[each.target] += 1
    shutil.rmtree(folder)
    print(f"{failed.total()} of {given.cases} cases failed: {dict(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
