"""The steps of ci/gpu.sh, whose comments say what it is for: run, judged and reported one by one.

What is measured on a device stands in `gpu_measure.py`.  Here only the standard library is
imported: whatever is missing or broken is what a step finds out.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 570  # of a call: a little less than ten minutes
EMULATION = {"CUBLAS_EMULATE_DOUBLE_PRECISION": "1", "CUBLAS_EMULATION_STRATEGY": "eager"}
ON_CPU = {"JAX_PLATFORMS": "cpu"}  # several processes of JAX would share the card with CuPy's
PYTEST = [
    *("-m", "pytest", "-q", "-rfE", "--tb=short", "-p", "no:benchmark", "-p", "no:cacheprovider"),
    "--continue-on-collection-errors",  # a file that cannot be imported hides no other
    *("-W", "default"),  # what newer versions than CI's deprecate is not the device's fault
]
BENCHMARKS = ("steps", "reproducible", "inference", "fit", "roofline")  # the most telling first


@dataclass(frozen=True)
class Device:
    """A device under test: its backend for the command line, its name in the suite's fixture."""

    name: str
    spec: str
    member: str

    @property
    def selection(self) -> str:
        """What `pytest -k` takes for the tests on this device."""
        others = {"cupy": " and not simulated_cupy", "torch": " and not cuda"}
        return self.member + others.get(self.member, "")


DEVICES = (
    Device("cupy", "cupy", "cupy"),
    Device("torch", "torch:cuda", "torch:cuda"),
    Device("jax", "jax:gpu", "jax:gpu"),
)
DRY_DEVICES = (
    Device("cupy", "numpy", "simulated_cupy"),
    Device("torch", "torch", "torch"),
    Device("jax", "jax:cpu", "jax:cpu"),
)


@dataclass(frozen=True)
class Step:
    """One command of Python's with a verdict of its own, which may take so many seconds."""

    name: str
    arguments: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)
    seconds: int = 240


@dataclass(frozen=True)
class Plan:
    """What the parts of the script need to know.

    Attributes
    ----------
    dry : bool
        Take the processor and small sizes.
    scratch : Path
        A folder that is gone afterwards.
    files : Path
        A folder for what steps print and write, which comes back packed.
    """

    dry: bool
    scratch: Path
    files: Path

    @property
    def devices(self) -> tuple[Device, ...]:
        """The devices under test."""
        return DRY_DEVICES if self.dry else DEVICES

    def only_dry(self, *arguments: str) -> list[str]:
        """Return the arguments in a dry run."""
        return list(arguments) if self.dry else []


# Steps of one group run at the same time, the groups one after the other.
Groups = list[list[Step]]


def cli(*arguments: str) -> list[str]:
    """Return the arguments of Python that run the command line."""
    return ["-m", "pluggable_mlp", *arguments]


def bits(plan: Plan) -> Groups:
    """Are the bits those of NumPy, are products exact, and what does an operation cost?"""
    run = plan.scratch / "certified"
    train = cli("train", "--arithmetic", "reproducible", "--output", str(run), "--quiet")
    train += ["--epochs", "3"]
    train += plan.only_dry("--epochs", "1", "--hidden", "8", "--batch-size", "1024")
    verify = [
        Step(f"verify {d.name}", cli("verify", str(run / "certificate.json"), "--backend", d.spec))
        for d in plan.devices
    ]
    return [
        [Step("backends", cli("backends"))],
        *([measurement(plan, "microseconds", device)] for device in plan.devices),
        [measurement(plan, "precision", device) for device in plan.devices]
        + [measurement(plan, "exactness", device) for device in plan.devices]
        + [measurement(plan, "exactness", device, EMULATION) for device in plan.devices],
        [Step("train numpy", train)],
        [comparison(plan, device, "native") for device in plan.devices],
        [comparison(plan, device, "reproducible") for device in plan.devices] + verify,
        [recorded_runs(plan, device) for device in plan.devices],
    ]


def measurement(
    plan: Plan, name: str, device: Device, environment: dict[str, str] | None = None
) -> Step:
    """Return a step that measures something on a device."""
    arguments = ["ci/gpu_measure.py", name, device.spec, *plan.only_dry("--small")]
    asked = " ".join(f"{key}={value}" for key, value in (environment or {}).items())
    return Step(f"{name} {device.name} {asked}".rstrip(), arguments, environment or {})


def comparison(plan: Plan, device: Device, arithmetic: str) -> Step:
    """Return a step that compares a device with NumPy."""
    compare = cli("compare", "--backends", f"numpy,{device.spec}", "--arithmetic", arithmetic)
    compare += plan.only_dry("--steps", "1", "--hidden", "8", "--batch-size", "32")
    return Step(f"compare {device.name} {arithmetic}", compare)


def recorded_runs(plan: Plan, device: Device) -> Step:
    """Return a step that holds a device to recorded bits: all of them, or JAX, slow, to two."""
    arguments = [*PYTEST, "tests/test_recorded_runs.py", "-k", device.selection]
    arguments += plan.only_dry("--collect-only")
    if device.name != "jax":
        arguments += ["-m", ""]
    return Step(f"recorded runs {device.name}", arguments, requirement(device))


def requirement(device: Device) -> dict[str, str]:
    """Return the environment in which a test fails where the device is missing."""
    return {"PLUGGABLE_MLP_REQUIRE_BACKENDS": device.member}


def shares(plan: Plan, name: str, selection: str, count: int, **environment: str) -> list[Step]:
    """Return steps that run the selected tests, each a share of them, all at the same time."""
    count = 2 if plan.dry else count
    arguments = [*PYTEST, "-p", "gpu_share", "-k", selection]
    arguments += plan.only_dry("tests/backends/test_contract.py", "tests/test_shortcuts.py")
    path = os.pathsep.join([str(ROOT / "ci"), os.environ.get("PYTHONPATH", "")])
    return [
        Step(
            f"{name}, share {share + 1} of {count}",
            arguments,
            {"PYTHONPATH": path, "GPU_SHARE": f"{share}/{count}", **environment},
            seconds=420,
        )
        for share in range(count)
    ]


def tests(plan: Plan) -> Groups:
    """The suite on CuPy."""
    cupy = plan.devices[0]
    return [shares(plan, "cupy", cupy.selection, 8, **requirement(cupy), **ON_CPU)]


def benchmark(plan: Plan) -> Groups:
    """The parts of the benchmark, on a small grid, one after the other while there is time."""
    run = ["benchmarks/run.py", "--quick", "--backend", "numpy" if plan.dry else "cupy"]
    run += ["--output", str(plan.files), "--only"]
    names = BENCHMARKS[-1:] if plan.dry else BENCHMARKS
    return [[Step(name, [*run, name], seconds=SECONDS)] for name in names]


def others(plan: Plan) -> Groups:
    """The suite on PyTorch's and on JAX's GPU."""
    _, torch, jax = plan.devices
    return [
        shares(plan, "torch", torch.selection, 5, **requirement(torch))
        + shares(plan, "jax", jax.selection, 9, **requirement(jax))
    ]


PARTS = {part.__name__: part for part in (bits, tests, benchmark, others)}


class Report:
    """What the steps of a part said so far, in two files that are up to date after each group.

    There are no more, of plain names: from a machine that is lent, few files may come back.
    """

    def __init__(self, part: str, dry: bool, out: Path, files: Path) -> None:
        self.part, self.dry = part, dry
        self.path, self.archive = out / f"{part}.json", out / f"{part}.tar.gz"
        self.files = files
        for folder in (out, files):
            folder.mkdir(parents=True, exist_ok=True)
        self.deadline = time.monotonic() + SECONDS
        self.machine: Any = None
        self.steps: list[dict[str, Any]] = []

    @property
    def passed(self) -> bool:
        """Whether every step passed."""
        return all(step["verdict"] == "passed" for step in self.steps)

    def add(self, verdicts: list[dict[str, Any]]) -> None:
        """Note the verdicts of a group, print them, and write both files."""
        self.steps += verdicts
        for step in verdicts:
            print(f"{step['verdict']:9} {step['seconds']:6.1f} s  {step['name']}", flush=True)
            if step["verdict"] != "passed":
                print(*(f"    {line}" for line in step["output"][-3:]), sep="\n", flush=True)
        names = ("part", "dry", "passed", "machine", "steps")
        contents = {name: getattr(self, name) for name in names}
        self.path.write_text(json.dumps(contents, indent=1) + "\n", encoding="utf-8")
        with tarfile.open(self.archive, "w:gz") as archive:
            archive.add(self.files, arcname=self.part)


def judged(python: str, folder: Path, deadline: float, step: Step) -> dict[str, Any]:
    """Run a step, and return its verdict with the end of what it printed."""
    begin = time.monotonic()
    log = folder / f"{re.sub(r'[^a-zA-Z0-9.-]+', '_', step.name)}.txt"
    verdict = finished(python, step, min(step.seconds, deadline - begin), log)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    failures = [line for line in lines[:-20] if line.startswith(("FAILED ", "ERROR "))]
    return {
        "name": step.name,
        "verdict": verdict,
        "seconds": round(time.monotonic() - begin, 1),
        "result": last_json(lines),
        "output": failures + lines[-20:],
    }


def finished(python: str, step: Step, seconds: float, log: Path) -> str:
    """Run a step with its output in a file, and return its verdict; no process of it is left."""
    with log.open("wb") as output:
        if seconds < 1:
            return "no time"
        try:
            process = subprocess.Popen(
                [python, *step.arguments],
                cwd=ROOT,
                env=os.environ | step.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            output.write(str(error).encode())
            return "failed"
        try:
            return "passed" if process.wait(seconds) == 0 else "failed"
        except subprocess.TimeoutExpired:
            return "too long"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def last_json(lines: list[str]) -> Any:
    """Return what the last line says as JSON, as those of measurements do; else None."""
    try:
        return json.loads(lines[-1])
    except (IndexError, ValueError):
        return None


def preparation(scratch: Path) -> tuple[Step, str, Groups]:
    """Return what makes an environment over the present one, its Python, and what fills it."""
    environment = scratch / "environment"
    return (
        Step("environment", ["ci/gpu_environment.py", str(environment)]),
        str(environment / "bin" / "python"),
        [
            *installation(os.environ.get("WHEELS")),
            [Step("machine", ["ci/gpu_measure.py", "machine"])],
        ],
    )


def installation(wheels: str | None) -> Groups:
    """Return what installs the project: over wheels of a folder, or else over a package index."""
    pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if wheels is None:
        return [
            [Step("install setuptools", [*pip, "setuptools>=77"])],
            [Step("install", [*pip, "--no-build-isolation", "-e", ".[test]"])],
        ]
    pip += ["--no-index", "--no-deps"]
    return [
        [Step("install wheels", [*pip, *map(str, Path(wheels).resolve().glob("*.whl"))])],
        [Step("install", [*pip, "--no-build-isolation", "-e", "."])],
    ]


def run_steps(report: Report, python: str, groups: Groups) -> None:
    """Run groups of steps one after the other, in the time that the report has."""
    run = partial(judged, python, report.files, report.deadline)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for group in groups:
            report.add(list(pool.map(run, group)))


def chosen(groups: Groups, names: Sequence[str]) -> Groups:
    """Return the steps of these names, or all where there are none."""
    return [[step for step in group if not names or step.name in names] for group in groups]


def run_part(part: str, names: Sequence[str], dry: bool, out: Path) -> bool:
    """Run the steps of a part, or some of them; return whether all passed."""
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(dry, Path(folder), Path(folder) / "files")
        report = Report(part, dry, out, plan.files)
        create, python, install = preparation(plan.scratch)
        run_steps(report, sys.executable, [[create]])
        run_steps(report, python, install)
        report.machine = report.steps[-1]["result"]
        run_steps(report, python, chosen(PARTS[part](plan), names))
    print("all passed:" if report.passed else "not all passed:", report.path, flush=True)
    return report.passed


def main() -> None:
    """Run the part that is asked for."""
    parser = argparse.ArgumentParser(prog="ci/gpu.sh")
    parser.add_argument("part", choices=PARTS)
    parser.add_argument(
        "steps", nargs="*", metavar="STEP", help="some of its steps, by their names"
    )
    parser.add_argument("--dry", action="store_true", help="on the processor, with small sizes")
    options = parser.parse_args()
    plan = Plan(options.dry, Path(), Path())
    known = [step.name for group in PARTS[options.part](plan) for step in group]
    if strange := set(options.steps) - set(known):
        parser.error(f"{options.part} has no step {', '.join(strange)}: choose of {known}")
    out = Path(os.environ.get("OUT") or ROOT / "benchmarks" / "results" / "gpu").resolve()
    sys.exit(0 if run_part(options.part, options.steps, options.dry, out) else 1)


if __name__ == "__main__":
    main()
