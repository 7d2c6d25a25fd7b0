"""Change every kind of file that the program reads, and see that it answers as it should.

    python ci/fuzz.py [--cases 10000] [--seed 0] [--only NAME] [--case NUMBER]
    python ci/fuzz.py --bombs    small files that ask for much: the table of bounds in SECURITY.md

Each case changes one file, and runs one command on it.  Expected is exit code 0, 2, or 3 with "out
of memory"; of `verify`, which repeats the run, also 1.  Nothing may be "unexpected", hang or end
the process, and no file of a run may be accepted that changes what the
command gives.  Cases run in a process with limited memory, which is replaced if one ends it.

Case NUMBER is the same in each call with a seed; `--case` runs it alone, and leaves its files.
The pages of a Parquet file stay: polars ends the process where it cannot allocate the length of a
run that one states.  Exit code 1: a case failed.
"""

import argparse
import contextlib
import gzip
import io
import json
import multiprocessing
import os
import pickle
import re
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import polars

SECONDS = 120  # after which a case hangs
MEMORY = 2 * 2**30  # that it may ask for beyond what the process has
GROWTH = 2**29  # that it may use: some copies of the 64 MiB that a file may become

Change = Callable[[bytes, Random], bytes]
Command = tuple[str, ...]

NUMBERS = (b"0", b"-1", b"1e999", b"-1e308", b"9" * 30, b"9" * 5000, b"nan", b"inf", b"", b"1.5")
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 1e308, 2**31, 2**70, "", "x", "1", "nan", [], {}, [[]], [None],
    {"x": 1}, {"float": "0x1p-2"}, {"array": "0"}, json.loads('{"x":' * 500 + "0" + "}" * 500),
)  # fmt: skip
WHOLE = (b"", b"\n", b"[]", b"5", b"null", b'"text"', b"{}", bytes(64), b"\xff\xfe", b"[" * 100_000)


def change_bytes(content: bytes, random: Random) -> bytes:
    """Flip a bit; remove a part, or the end; double a part; insert bytes; or replace everything."""
    start = random.randrange(len(content) + 1)
    end = min(len(content), start + random.choice((1, 2, 8, 64, 1000)))
    match random.randrange(8):
        case 0:
            return content[:start] + content[end:]
        case 1:
            return content[:start]
        case 2:
            return content[:end] + content[start:]
        case 3:
            return content[:start] + random.randbytes(random.choice((1, 4, 32))) + content[start:]
        case 4:
            return random.choice(WHOLE)
    flipped = bytes(byte ^ 1 << random.randrange(8) for byte in content[start : start + 1])
    return content[:start] + flipped + content[start + 1 :]


def change_text(content: bytes, random: Random) -> bytes:
    """Replace a number by a strange one; exchange two lines, or double one."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?(e[+-]?\d+)?", content))
    lines = content.splitlines(keepends=True)
    if found and random.random() < 0.7:
        number = random.choice(found)
        return content[: number.start()] + random.choice(NUMBERS) + content[number.end() :]
    if lines:
        lines[random.randrange(len(lines))] = random.choice(lines)
    return b"".join(lines)


def change_json(content: bytes, random: Random) -> bytes:
    """Replace a value of a JSON document, remove it, or give it another name."""
    try:
        return json.dumps(_changed(json.loads(content), random)).encode()
    except (ValueError, RecursionError):  # whatever an earlier change made of it
        return content


def _changed(document: Any, random: Random) -> Any:
    """Return a document in which a value, anywhere, is another one."""
    if not isinstance(document, dict | list) or not document or random.random() < 0.1:
        return random.choice(VALUES)
    key = random.choice(list(document) if isinstance(document, dict) else range(len(document)))
    way = random.randrange(10)
    if way == 0:
        del document[key]
    elif way == 1 and isinstance(document, dict):
        document[random.choice(("", "x", *document))] = document.pop(key)
    else:
        document[key] = _changed(document[key], random)
    return document


def change_line(content: bytes, random: Random) -> bytes:
    """Change a line of JSON."""
    lines = content.splitlines() or [b""]
    line = random.randrange(len(lines))
    return b"\n".join([*lines[:line], change_json(lines[line], random), *lines[line + 1 :], b""])


def change_safetensors(content: bytes, random: Random) -> bytes:
    """Change the JSON at the beginning, or a document within its metadata."""
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length]
    try:
        metadata = (document := json.loads(header))["__metadata__"]
        name = random.choice(list(metadata))
        metadata[name] = change_json(metadata[name].encode(), random).decode()
        header = random.choice((change_json(header, random), json.dumps(document).encode()))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        header = change_bytes(header, random)
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


def change_parquet(content: bytes, random: Random) -> bytes:
    """Change what a Parquet file says after its pages, and the length that is stated of it."""
    end = len(content) - 8
    start = max(0, end - int.from_bytes(content[end : end + 4], "little"))
    footer = change_bytes(content[start:end], random)
    return content[:start] + footer + len(footer).to_bytes(4, "little") + content[-4:]


def within_gzip(inner: Change) -> Change:
    """Return a change of what a gzip file holds."""

    def changed(content: bytes, random: Random) -> bytes:
        try:
            return gzip.compress(inner(gzip.decompress(content), random), mtime=0)
        except Exception:  # whatever an earlier change made of it
            return content

    return changed


def within_npz(content: bytes, random: Random) -> bytes:
    """Change a member of an .npz file."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except Exception:  # whatever an earlier change made of it
        return content
    name = random.choice(list(members))
    members[name] = random.choice((change_text, change_bytes))(members[name], random)
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w") as archive:
        for each, held in members.items():
            archive.writestr(each, held)
    return found.getvalue()


def explode(content: bytes, random: Random) -> bytes:
    """Return a small file of the same format that becomes 128 MiB or more."""
    return _bomb(content[:4], random.randrange(2))


@cache
def _bomb(signature: bytes, texts: int) -> bytes:
    found = io.BytesIO()
    column = polars.Series(["x" * 2**12] * 2**15) if texts else polars.zeros(2**24, eager=True)
    match signature:
        case b"PK\x03\x04":
            np.savez_compressed(found, X=np.zeros((2**20, 16)), y=np.zeros(2**20))
        case b"PAR1":
            column.to_frame("width").write_parquet(found, compression="zstd")
        case b"ARRO":
            column.to_frame("width").write_ipc(found, compression="zstd")
        case _:
            return gzip.compress((b"0\n", b"\0\0")[texts] * 2**26, 1, mtime=0)
    return found.getvalue()


KINDS: dict[str, tuple[Change, ...]] = {
    "binary": (change_bytes,),
    "text": (change_bytes, change_text),
    "json": (change_bytes, change_text, change_json),
    "json lines": (change_bytes, change_text, change_line),
    "safetensors": (change_bytes, change_safetensors),
    "npy": (change_bytes, change_text),
    "npz": (change_bytes, within_npz, explode),
    "gzip": (change_bytes, within_gzip(change_bytes), within_gzip(change_text), explode),
    "feather": (change_bytes, explode),
    "parquet": (change_parquet, explode),
}
"""The changes of files of a kind."""

EVALUATE, VERIFY = ("evaluate", "--json", "run"), ("verify", "run")
PREDICT = ("predict", "run", "new.npy")
RESUME = ("train", "--quiet", "--resume", "run", "--epochs", "3")
TRAIN = ("train", "--quiet", "--epochs", "1", "--hidden", "2", "--data")


class Target(NamedTuple):
    """A file, the kind of its changes, the commands that read it, and whether it is of ours."""

    path: str
    kind: str
    commands: tuple[Command, ...]
    is_ours: bool = False


TARGETS = [
    Target("run/config.json", "json", (EVALUATE, PREDICT, VERIFY, RESUME), True),
    Target("table/config.json", "json", (("predict", "table", "new.csv"),), True),
    Target("run/summary.json", "json", (EVALUATE, RESUME, VERIFY, ("report", "run")), True),
    Target("run/metrics.jsonl", "json lines", (VERIFY, RESUME), True),
    Target("run/certificate.json", "json", (VERIFY,), True),
    Target("run/model.safetensors", "safetensors", (EVALUATE, PREDICT, VERIFY), True),
    Target("run/checkpoints/000000000018.safetensors", "safetensors", (RESUME,), True),
    *(
        Target(f"new.{end}", kind, (("predict", run, f"new.{end}"),))
        for end, kind, run in (
            ("npy", "npy", "run"), ("npz", "npz", "run"), ("csv", "text", "table"),
            ("csv.gz", "gzip", "table"), ("parquet", "parquet", "table"),
            ("feather", "feather", "table"),
        )
    ),
    *(
        Target(f"data.{end}", kind, ((*TRAIN, f"data.{end}"),))
        for end, kind in (
            ("npz", "npz"), ("csv", "text"), ("parquet", "parquet"), ("feather", "feather"),
            ("pkl.gz", "gzip"),
        )
    ),
    Target("arrays/X.npy", "npy", ((*TRAIN, "arrays"),)),
    Target("images/train-images-idx3-ubyte", "binary", ((*TRAIN, "images"),)),
]  # fmt: skip


def make_world(folder: Path) -> Path:
    """Make the files in a new folder: data, and two runs; return it."""
    (folder / "arrays").mkdir(parents=True)
    (folder / "images").mkdir()
    random = np.random.default_rng(0)
    X = random.normal(size=(93, 5)).round(2)
    y = (X[:, 0] * X[:, 1] > 0).astype(np.int64)
    np.savez(folder / "data.npz", X=X, y=y)
    np.savez(folder / "new.npz", X=X[:7])
    np.save(folder / "new.npy", X[:7])
    np.save(folder / "arrays/X.npy", X)
    np.save(folder / "arrays/y.npy", y)
    table = polars.DataFrame(X[:, :3], schema=["width", "height", "weight"]).with_columns(
        colour=polars.Series(np.where(X[:, 3] > 0, "red", "blue")), y=polars.Series(y)
    )
    for name, columns in (("data", table), ("new", table.drop("y")[:7])):
        columns.write_csv(folder / f"{name}.csv")
        columns.write_parquet(folder / f"{name}.parquet")
        columns.write_ipc(folder / f"{name}.feather", compression="lz4")
    packed = gzip.compress((folder / "new.csv").read_bytes(), mtime=0)
    (folder / "new.csv.gz").write_bytes(packed)
    pairs = ((X[:, :4].astype(np.float32) % 1, y),) * 3
    (folder / "data.pkl.gz").write_bytes(gzip.compress(pickle.dumps(pairs, 3), mtime=0))
    pixels = struct.pack(">4I", 0x803, 40, 3, 3) + random.bytes(360)
    labels = struct.pack(">2I", 0x801, 40) + bytes(k % 2 for k in range(40))
    for part in ("train", "t10k"):
        (folder / f"images/{part}-images-idx3-ubyte").write_bytes(pixels)
        (folder / f"images/{part}-labels-idx1-ubyte").write_bytes(labels)
    with contextlib.chdir(folder):
        common = ("train", "--quiet", "--epochs", "2", "--hidden", "3", "--batch-size", "8")
        often = ("--validation", "0.1", "--checkpoint-minutes", "0")
        run((*common, "--data", "data.npz", "--output", "run", *often))
        run((*common, "--data", "data.csv", "--output", "table"))
    return folder


class Outcome(NamedTuple):
    """What a command gave: `effect` is compared between a changed file and the original one."""

    code: int
    effect: str
    errors: str


def run(arguments: Command) -> Outcome:
    """Run a command in the present folder."""
    from pluggable_mlp.cli import main

    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True), io.StringIO()
    sys.argv, code = ["pluggable-mlp", *arguments], 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
    resumed = code == 0 and "--resume" in arguments
    effect = Path("run/certificate.json").read_text("utf-8") if resumed else _text(out)
    return Outcome(code, effect, err.getvalue())


def _text(out: io.TextIOWrapper) -> str:
    """Return what was printed, in UTF-8 or not."""
    out.flush()
    return out.detach().getvalue().decode(errors="replace")  # type: ignore[attr-defined]


def fault_in(outcome: Outcome, before: str, *, is_ours: bool, verifies: bool) -> str:
    """Return what is wrong with an outcome."""
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
    return "accepted, with an effect" if code == 0 and is_ours and effect != before else ""


@cache
def _expected(world: Path, arguments: Command) -> str:
    """Return what a command gives for the original files."""
    _fresh(world)
    outcome = run(arguments)
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


def _memory(name: str) -> int:
    """Return the memory of this process in bytes, now (VmRSS) or at its peak (VmHWM)."""
    return 1024 * int(Path("/proc/self/status").read_text().partition(f"{name}:")[2].split()[0])


class Cases(NamedTuple):
    """The cases of a seed, on files of `world` with `only` in their path."""

    world: Path
    seed: int
    only: str

    def draw(self, number: int) -> tuple[Target, Random]:
        """Return the target of a case, and the random numbers for it."""
        random = Random(f"{self.seed} {number}")
        return random.choice([target for target in TARGETS if self.only in target.path]), random

    def run(self, number: int) -> str:
        """Run a case in the present folder; return what is wrong with it."""
        target, random = self.draw(number)
        arguments = random.choice(target.commands)
        before = _expected(self.world, arguments)
        _fresh(self.world)
        path = Path(target.path)
        content = original = path.read_bytes()
        while content == original:
            for _ in range(random.choice((1, 1, 1, 2, 3))):
                content = (way := random.choice(KINDS[target.kind]))(content, random)
                if way is explode:  # a second change would unpack it
                    break
        path.write_bytes(content)
        limit = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (_memory("VmSize") + MEMORY, limit))
        Path("/proc/self/clear_refs").write_text("5")  # the peak is from now on
        used = _memory("VmRSS")
        outcome = run(arguments)
        grown = _memory("VmHWM") - used
        verifies = arguments[0] == "verify"
        fault = fault_in(outcome, before, is_ours=target.is_ours, verifies=verifies)
        fault = fault or (f"it takes {grown // 2**20} MiB" if grown > GROWTH else "")
        return f"{target.path}: {' '.join(arguments)}: {fault}" if fault else ""


def findings(folder: Path, cases: Cases, numbers: Sequence[int]) -> Iterator[str]:
    """Run cases in a process that is replaced if it ends or hangs; yield those that fail."""
    spawn, pool = multiprocessing.get_context("spawn"), None
    for number in numbers:
        if pool is None:
            pool = ProcessPoolExecutor(1, spawn, os.chdir, (folder,))
        try:
            found = pool.submit(cases.run, number).result(SECONDS)
        except (BrokenProcessPool, TimeoutError) as error:
            found = f"{cases.draw(number)[0].path}: {type(error).__name__}"
            for process in list((pool._processes or {}).values()):
                process.kill()
            pool = None
        if found:
            yield f"{number}: {found}"
    if pool is not None:
        pool.shutdown()


def _estimator(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Write a saved estimator with other contents and the right hash."""
    from pluggable_mlp import MLPClassifier
    from pluggable_mlp.files.serialization import read_tree, write_tree

    X = np.eye(4)
    warnings.simplefilter("ignore")
    MLPClassifier((2,), max_iter=1, random_state=0).fit(X, np.arange(4) % 2).save(path)
    content = read_tree(path, "an estimator")
    change(content)
    write_tree(path, content)


def _layers(count: int) -> Callable[[Path], None]:
    from pluggable_mlp.files import json_sha256

    def write(path: Path) -> None:
        shutil.copytree("world/table", path.parent, dirs_exist_ok=True)
        config = json.loads(path.read_text("utf-8"))
        config["settings"]["hidden"] = [1] * count
        path.write_text(json.dumps(config), "utf-8")
        summary = json.loads((end := path.with_name("summary.json")).read_text("utf-8"))
        end.write_text(json.dumps({**summary, "config_sha256": json_sha256(config)}), "utf-8")

    return write


LOAD = ("-c", "from pluggable_mlp import MLPClassifier as M; M.load('bomb.safetensors')")
COMMAND = ("-m", "pluggable_mlp", "train", "--quiet", "--epochs", "1", "--data")
BOMBS: dict[str, tuple[str, Callable[[Path], object], Command]] = {
    "saved estimator: labels of 50 million characters": (
        "bomb.safetensors",
        lambda path: _estimator(
            path, lambda c: c["attributes"]["classes_"].update(dtype="<U50000000")
        ),
        LOAD,
    ),
    "saved estimator: a million layers": (
        "bomb.safetensors",
        lambda path: _estimator(
            path, lambda c: c["parameters"].update(hidden_layer_sizes=(1,) * 10**6)
        ),
        LOAD,
    ),
    "config.json: a million layers": (
        "deep/config.json",
        _layers(10**6),
        ("-m", "pluggable_mlp", "predict", "deep", "world/new.csv"),
    ),
    "CSV: two lines of a million commas": (
        "commas.csv",
        lambda path: path.write_text(("," * 10**6 + "\n") * 2),
        (*COMMAND, "commas.csv"),
    ),
    "CSV: ten lines of 50,000 numbers": (
        "wide.csv",
        lambda path: path.write_text("\n".join(",".join([end] * 50_000) for end in "0101010101")),
        ("-m", "pluggable_mlp", "data", "wide.csv"),
    ),
    "gzipped CSV: 128 MiB of zeros": (
        "zeros.csv.gz",
        lambda path: path.write_bytes(gzip.compress(bytes(2**27), 6)),
        (*COMMAND, "zeros.csv.gz"),
    ),
    "gzipped CSV: 512 MiB of zeros": (
        "zeros.csv.gz",
        lambda path: path.write_bytes(gzip.compress(bytes(2**29), 6)),
        (*COMMAND, "zeros.csv.gz"),
    ),
    "gzipped pickle: 60 million empty lists": (
        "lists.pkl.gz",
        lambda path: path.write_bytes(gzip.compress(b"\x80\x02(" + b"]" * 60_000_000 + b"t.", 1)),
        (*COMMAND, "lists.pkl.gz"),
    ),
}  # fmt: skip
"""By what it is: the name of a small file, what writes it, and Python's arguments to read it."""


def explode_all(folder: Path) -> int:
    """Read every bomb in a process of its own; print a line for each, and count those over."""
    failed = 0
    os.chdir(folder)
    for name, (file, write, arguments) in BOMBS.items():
        write(path := Path(file))
        with open(os.devnull, "w") as nothing, open("said", "w+") as said:
            child = subprocess.Popen([sys.executable, *arguments], stdout=nothing, stderr=said)
            _, status, usage = os.wait4(child.pid, 0)
            said.seek(0)
            last = (said.read().splitlines() or [""])[-1]
        seconds, memory = usage.ru_utime + usage.ru_stime, 1024 * usage.ru_maxrss
        is_over = memory > GROWTH + 2**28 or seconds > SECONDS or len(last) > 2000
        failed += is_over
        code = os.waitstatus_to_exitcode(status)
        figures = f"{path.stat().st_size:,} | {memory // 2**20} | {seconds:.1f} | {code}"
        print(f"| {name} | {figures} |{' OVER' * is_over} {last[:100]}", flush=True)
        path.unlink()
    return failed


def main() -> int:
    """Run the cases that were asked for, and print those that failed."""
    parser = argparse.ArgumentParser(description="Change files and see what commands make of them.")
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="a part of the path of targets")
    parser.add_argument("--case", type=int, help="run this one alone, and leave its files")
    parser.add_argument("--bombs", action="store_true", help="read small files that ask for much")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    cases = Cases(make_world(folder / "world"), given.seed, given.only)
    if given.bombs:
        return 1 if explode_all(folder) else 0
    (folder / "case").mkdir()
    if given.case is not None:
        os.chdir(folder / "case")
        print(folder / "case", cases.run(given.case), sep="\n")
        return 0
    failed = 0
    for found in findings(folder / "case", cases, range(given.cases)):
        print(found, flush=True)
        failed += 1
    shutil.rmtree(folder)
    print(f"{failed} of {given.cases} cases failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
