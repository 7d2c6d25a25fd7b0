"""Commands on several processes: as on one, and what is said where one of them fails."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

import pluggable_mlp
from pluggable_mlp.arrays import map_nested
from pluggable_mlp.backends import available_backends, get_backend
from pluggable_mlp.data.arrays import idx_header
from pluggable_mlp.runs.checkpoints import read_checkpoint, save_checkpoint
from pluggable_mlp.runs.predict import load_run
from pluggable_mlp.runs.resume import resumed_run
from tests.cli.children import running
from tests.cli.conftest import ended
from tests.cli.saved_runs import content, told
from tests.distributed.processes import command_of, mpiexec, together
from tests.distributed.threads import on_threads
from tests.plug_ins import write_plug_in

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

PROGRAM = ("-m", "pluggable_mlp")
DISTRIBUTED = ("--distributed", "mpi")
SETTINGS = (
    "--arithmetic", "reproducible", "--hidden", "20", "--optimizer", "adam", "--dropout", "0.2",
    "--norm", "batch", "--class-weight", "balanced", "--validation", "0.2", "--batch-size", "64",
)  # fmt: skip
TRAIN = ("train", *SETTINGS, "--epochs", "4")


def on(count, command, *arguments, **options):
    """Return what a command leaves on so many processes."""
    return mpiexec(count, *PROGRAM, command, *DISTRIBUTED, *arguments, **options)


def alone(*arguments):
    """Return what a command leaves on one process, without mpiexec."""
    with running(*arguments) as child:
        out, err = child.communicate(timeout=300)
    assert child.returncode == 0, err
    return out


@pytest.fixture(scope="module")
def run_of_one(tmp_path_factory):
    """The folder of a run on one process."""
    folder = tmp_path_factory.mktemp("one") / "run"
    assert ended(*TRAIN, "--output", folder) == 0
    return folder


def test_three_processes_write_the_run_of_one(run_of_one, tmp_path):
    folder = tmp_path / "run"
    done = on(3, *TRAIN, "--output", folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert told(folder) == told(run_of_one)
    assert content(folder, "summary.json")["processes"] == 3
    lines = done.stdout.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("epoch")] == [
        f"{epoch}/4" for epoch in range(1, 5)
    ]
    assert sum(line.startswith("test accuracy") for line in lines) == 1


@pytest.mark.slow
def test_a_certificate_is_verified_on_other_processes(run_of_one, tmp_path):
    done = on(2, "verify", run_of_one)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("same bits") == 1
    assert "on 2 processes" in done.stdout
    folder = tmp_path / "run"
    assert on(2, *TRAIN, "--output", folder).returncode == 0
    assert "same bits" in alone("verify", folder)
    assert on(3, "verify", folder / "certificate.json").returncode == 0


@pytest.mark.slow
def test_a_changed_certificate_is_reported_once(run_of_one, tmp_path):
    """By another seed, with hashes as they should be: no process has its bits."""
    other = tmp_path / "other"
    alone(*TRAIN, "--seed", 1, "--output", other)
    from pluggable_mlp.files import json_sha256

    certificate = content(run_of_one, "certificate.json")
    del certificate["sha256"]
    certificate["records"] = content(other, "certificate.json")["records"]
    file = tmp_path / "certificate.json"
    file.write_text(json.dumps(certificate | {"sha256": json_sha256(certificate)}))
    done = on(3, "verify", file)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.count("the run differs at step") == 1


@pytest.mark.slow
def test_an_evaluation_on_processes_is_that_of_one(run_of_one):
    done = on(3, "evaluate", run_of_one)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == json.loads(alone("evaluate", run_of_one))


@pytest.mark.filterwarnings("ignore:.* the run was trained on most of these examples")
def test_an_evaluation_compares_what_the_processes_have(tmp_path):
    paths = []
    for number in range(3):
        path = tmp_path / f"{number}.npz"
        x, y = np.eye(12)[: 12 - 10 * (number == 2)] + number % 2, np.arange(12) % 2
        np.savez(path, X=x, y=y[: len(x)])
        paths.append(path)
    runs = []
    for seed in range(2):
        given = ("--data", paths[0], "--hidden", "3", "--epochs", "1", "--seed", seed)
        assert ended("train", "--quiet", *given, "--output", tmp_path / str(seed)) == 0
        runs.append(load_run(tmp_path / str(seed)))
    with pytest.raises(
        ValueError, match="^config of process 1 differs .*; parameters of process 1 differs"
    ):
        on_threads(2, lambda each: runs[each.rank].evaluate(paths[0], communicator=each))
    with pytest.raises(ValueError, match="^inputs of process 1 differ"):
        on_threads(2, lambda each: runs[0].evaluate(paths[each.rank], communicator=each))
    with pytest.raises(ValueError, match="has 2 examples for 3 processes"):
        on_threads(3, lambda each: runs[0].evaluate(paths[2], communicator=each))
    shutil.copy(paths[0], paths[1])
    found = on_threads(2, lambda each: runs[0].evaluate(paths[each.rank], communicator=each))
    assert [one["examples"] for one in found] == [12, 12]


PEAK = """
import sys
from pathlib import Path
from pluggable_mlp.cli import main
sys.argv[0] = "pluggable-mlp"
try:
    main()
finally:
    status = Path("/proc/self/status").read_text()
    sys.__stderr__.write(f"peak {status.split('VmHWM:')[1].split()[0]} kB")
"""


def peak(count, *arguments):
    """Return the most memory that one of so many processes takes to train, in bytes."""
    given = ("--hidden", "4", "--batch-size", "8192", "--epochs", "2", *arguments)
    done = mpiexec(count, "-c", PEAK, "train", *DISTRIBUTED, "--quiet", *given)
    assert done.returncode == 0, done.stderr
    found = [1024 * int(kilobytes) for kilobytes in re.findall(r"peak (\d+) kB", done.stderr)]
    assert len(found) == count
    return max(found)


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="Linux says what was the peak")
@pytest.mark.parametrize("form", ["npy", "idx"])
def test_the_memory_of_a_process_falls_with_their_number(tmp_path, form):
    """Each holds its rows of two epochs, of one and the next: two thirds of the data on three."""
    rng = np.random.default_rng(0)
    rows, features = 400_000, 256
    folder = tmp_path / "set"
    folder.mkdir()
    if form == "npy":
        features //= 4  # of four bytes
        np.save(folder / "X.npy", rng.standard_normal((rows, features), dtype=np.float32))
        np.save(folder / "y.npy", rng.integers(0, 2, rows))
    else:
        for name, shape in {"train": (rows, 16, 16), "t10k": (100, 16, 16)}.items():
            pixels, labels = rng.bytes(rows * features), np.arange(shape[0]) % 2
            for kind, header, values in (
                ("images-idx3", idx_header(shape), pixels[: shape[0] * features]),
                ("labels-idx1", idx_header(shape[:1]), labels.astype(np.uint8).tobytes()),
            ):
                (folder / f"{name}-{kind}-ubyte").write_bytes(header + values)
    of_one, of_three = (peak(count, "--data", folder) for count in (1, 3))
    data = rows * 256
    assert of_one - of_three > data  # of 4/3
    # Beside 2/3 of the data: pieces that are read and checked, the order of all examples.
    assert of_three - peak(3) < 1.75 * data


# Failures


NOTING = """
import os, runpy, sys
with open(sys.argv.pop(1), "w") as file:
    file.write(str(os.getpid()))
runpy.run_module("pluggable_mlp", run_name="__main__", alter_sys=True)
"""


class Started:
    """A command that was started on processes; the second can be sent a signal."""

    def __init__(self, folder, count, *command):
        self._number = Path(f"{folder}.pid")
        program = (*command, *DISTRIBUTED)
        noting = ("-c", NOTING, self._number, *program)
        ordinary = (*PROGRAM, *program)
        self.child = subprocess.Popen(
            command_of((1, *ordinary), (1, *noting), *[(1, *ordinary)] * (count - 2)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def send(self, number):
        os.kill(int(self._number.read_text()), number)

    def wait_until(self, is_reached):
        while not is_reached():
            assert self.child.poll() is None, self.child.stderr.read()
            time.sleep(0.01)


def checkpoints(folder):
    return sorted(folder.glob("checkpoints/*.safetensors"))


def killed_after_a_checkpoint(folder, count, *command):
    """Kill one of the processes of a command after its first checkpoint; return what was said."""
    before = checkpoints(folder)[-1:]
    started = Started(folder, count, *command, "--checkpoint-minutes", "0")
    started.wait_until(lambda: checkpoints(folder)[-1:] > before)
    started.send(signal.SIGKILL)
    out, err = started.child.communicate(timeout=300)
    assert started.child.returncode == signal.SIGKILL
    assert not (folder / "summary.json").exists()
    return out + err


@pytest.mark.slow
def test_a_run_that_is_killed_is_resumed_on_other_processes(run_of_one, tmp_path):
    """Begun on three, killed, resumed on two, killed, resumed on one."""
    folder = tmp_path / "run"
    said = killed_after_a_checkpoint(folder, 3, *TRAIN, "--output", folder)
    assert said.count("Killed (signal 9)") == 1  # by mpiexec
    killed_after_a_checkpoint(folder, 2, "train", "--resume", folder)
    alone("train", "--resume", folder)
    assert told(folder) == told(run_of_one)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("none", "none, expected"),
        ("earlier", "[0-9a-f]{16} after step [0-9]+, expected"),
        ("other slots", "[0-9a-f]{16} after step [0-9]+, expected"),
    ],
)
def test_processes_must_see_the_same_checkpoint(tmp_path, change, found):
    """As they would not on machines of which each has its own disk."""
    folders = [tmp_path / "0", tmp_path / "1"]
    train = ("train", "--quiet", "--hidden", "4", "--batch-size", "512", "--optimizer", "adam")
    assert ended(*train, "--epochs", "2", "--output", folders[0]) == 0
    shutil.copytree(*folders)
    more = {"epochs": 3}

    def resumed():
        return on_threads(2, lambda each: resumed_run(folders[each.rank], None, more, each))

    assert [run.position.epoch for run in resumed()] == [3, 3]
    place, last = folders[1] / "checkpoints", checkpoints(folders[1])[-1]
    if change == "none":
        shutil.rmtree(place)
    elif change == "earlier":
        last.unlink()
    else:
        whole = read_checkpoint(place, int(last.stem))
        state = whole.position.state
        state = state._replace(slots=map_nested(lambda x: 2.0 * x, state.slots))
        other = whole._replace(position=whole.position._replace(state=state))
        assert save_checkpoint(place, other, get_backend("numpy"))
    reason = f"^the checkpoint of process 1 is {found} [0-9a-f]{{16}} after step"
    with pytest.raises(ValueError, match=reason):
        resumed()


@pytest.mark.slow
def test_processes_must_have_the_same_command(run_of_one, tmp_path):
    commands = ("train", "--output", tmp_path / "run"), ("train", "--resume", run_of_one)
    done = together(*((1, *PROGRAM, *each, *DISTRIBUTED) for each in commands))
    assert done.returncode == 2
    assert done.stderr.count("Error") == 1
    assert "the command of process 1 is train --resume, expected train as on process 0" in (
        done.stderr
    )


SLOWLY_SETTLED = """
import sys, time
from pluggable_mlp.cli import main
from pluggable_mlp.runs import locking

recover = locking.recover

def recovering(path):
    time.sleep(3)
    recover(path)

locking.recover = recovering
sys.argv[0] = "pluggable-mlp"
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("command", ["evaluate", "verify"])
def test_one_process_settles_a_folder_before_all_read_it(run_of_one, tmp_path, command):
    """It was left while files were put in their places."""
    folder = tmp_path / "run"
    shutil.copytree(run_of_one, folder)
    (folder / "result").mkdir()
    for name in ("model.safetensors", "summary.json", "certificate.json"):
        (folder / name).rename(folder / "result" / name)
    done = mpiexec(2, "-c", SLOWLY_SETTLED, command, *DISTRIBUTED, folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Warning") == 1


@pytest.mark.slow
def test_a_run_that_began_on_one_process_goes_on_on_three(run_of_one, tmp_path):
    folder = tmp_path / "run"
    alone("train", *SETTINGS, "--epochs", 2, "--output", folder)
    done = on(3, "train", "--quiet", "--resume", folder, "--epochs", 4)
    assert (done.returncode, done.stderr) == (0, "")
    assert told(folder) == told(run_of_one)


@pytest.mark.slow
@pytest.mark.parametrize("receiver", ["mpiexec", "a process"])
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_as_on_one_process(run_of_one, tmp_path, sent, receiver):
    folder = tmp_path / "run"
    started = Started(folder, 3, *TRAIN, "--output", folder)
    child = started.child
    started.wait_until(lambda: child.stdout.readline().startswith("epoch   1/"))
    child.send_signal(sent) if receiver == "mpiexec" else started.send(sent)
    out, err = child.communicate(timeout=300)
    assert child.returncode == 128 + sent
    assert err.count("interrupted after") == 1
    assert err.count("stopping after this step") <= 1
    assert out.count("test accuracy") == 1
    assert content(folder, "summary.json")["epochs"] < 4
    done = on(2, "train", "--quiet", "--resume", folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert told(folder) == told(run_of_one)


SLOWLY_SAVED = """
import os, signal, sys, time
from pluggable_mlp.cli import main
from pluggable_mlp.distributed import launched_rank
from pluggable_mlp.runs.run import Run

train, save = Run.train, Run.save

def ending(run):
    for progress in train(run):
        yield progress
        if progress.ended and len(run.history) == EPOCHS:
            ENDING

def saving(run, folder):
    time.sleep(6)
    save(run, folder)

Run.train, Run.save = ending, saving
sys.argv[0] = "pluggable-mlp"
main()
"""
INTERRUPTING = "if launched_rank() == 1: os.kill(os.getpid(), signal.SIGINT)"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "epochs", "code", "words"),
    [
        pytest.param(INTERRUPTING, 1, 130, "interrupted after", id="interrupted"),
        pytest.param(INTERRUPTING, 2, 130, "", id="interrupted after the last exchange"),
        pytest.param("raise MemoryError('no room')", 1, 3, "no room", id="an error of all"),
    ],
)
def test_process_0_has_time_to_save(tmp_path, ending, epochs, code, words):
    folder = tmp_path / "run"
    program = SLOWLY_SAVED.replace("ENDING", ending).replace("EPOCHS", str(epochs))
    train = ("train", *SETTINGS, "--epochs", 2, *DISTRIBUTED, "--output", folder)
    done = mpiexec(3, "-c", program, *train)
    assert done.returncode == code, done.stderr
    assert "failed" not in done.stderr
    assert len(done.stderr.splitlines()) == bool(words)
    assert words in done.stderr
    assert content(folder, "summary.json")["epochs"] >= epochs
    assert done.stdout.count("test accuracy") == 1


FAILING = """
import os
from pluggable_mlp.backends.numpy import NumpyBackend

class FailingBackend(NumpyBackend):
    name = "failing"
    calls = 0

    def asarray(self, x, **settings):
        FailingBackend.calls += 1
        if self.calls == 700:
            raise FAILURE
        return super().asarray(x, **settings)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("failure", "code", "words", "place"),
    [
        ("MemoryError('no room')", 3, "out of memory: no room", 1),
        ("OSError('the data are gone')", 2, "the data are gone", 2),
        ("RuntimeError('odd')", 3, "unexpected RuntimeError", 0),
    ],
)
def test_an_error_of_one_process_ends_all(run_of_one, tmp_path, failure, code, words, place):
    source = FAILING.replace("FAILURE", failure)
    environment = write_plug_in(tmp_path, "failing = failing:FailingBackend", failing=source)
    folder = tmp_path / "run"
    train = (*PROGRAM, *TRAIN, *DISTRIBUTED, "--output", folder, "--checkpoint-minutes", "0")
    programs = [(1, *train)] * 3
    programs[place] = (*programs[place], "--backend", "failing")
    done = together(*programs, env=environment)
    assert done.returncode == code
    first, last = done.stderr.splitlines()
    assert words in first
    assert last == f"Error: process {place} of 3 failed; all processes end"
    done = on(2, "train", "--quiet", "--resume", folder, "--backend", "numpy")
    assert (done.returncode, done.stderr) == (0, "")
    assert told(folder) == told(run_of_one)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--data", "nothing.csv"), "nothing.csv: there is no such file"),
        pytest.param(("--hiden", "3"), "No such option: --hiden", marks=pytest.mark.slow),
        pytest.param(("--hidden", "x"), "hidden is 'x', expected", marks=pytest.mark.slow),
        pytest.param(("--distributed", "mpj"), "distributed is 'mpj'", marks=pytest.mark.slow),
        pytest.param(("--learning-rate", "1e40"), "training diverged", marks=pytest.mark.slow),
    ],
)
def test_an_error_of_all_processes_is_said_once(arguments, words):
    done = on(3, "train", "--optimizer", "sgd", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count(words) == 1
    assert done.stderr.count("Error") == 1


@pytest.mark.slow
def test_fewer_examples_than_processes_are_refused(tmp_path):
    path = tmp_path / "few.npz"
    x, y = np.eye(2), np.arange(2)
    np.savez(path, X=x, y=y, X_test=x, y_test=y)
    done = on(3, "train", "--data", path)
    assert done.returncode == 2
    assert done.stderr.count("inputs has 2 examples for 3 processes") == 1


def differing(*others, environments=({}, {}), common=(), cwd=None):
    """Return what is left of two processes with different arguments or environments."""
    train = ("train", "--epochs", "1", *DISTRIBUTED, *common)
    command = command_of(*((1, *PROGRAM, *train, *each) for each in others))
    for place, environment in zip((1, command.index(":") + 1), environments, strict=True):
        given = [("-env", name, value) for name, value in environment.items()]
        command[place:place] = [word for words in given for word in words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, cwd=cwd
    )


@pytest.mark.slow
def test_processes_with_other_settings_are_refused():
    done = differing((), ("--seed", "1"))
    assert done.returncode == 2
    assert done.stderr.startswith("Error: seed of process 1 is 1, expected 0 as on process 0")
    assert done.stderr.count("Error") == 1


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--distributed", "mpj"), "Error: distributed is 'mpj'"),
        (("--resume", "nowhere", "--checkpoint-minutes", "-1"), "Error: checkpoint_minutes is -1"),
    ],
)
def test_an_error_of_one_process_that_has_not_joined_ends_all(arguments, words, place):
    both = [(), ()]
    both[place] = arguments
    done = differing(*both)
    assert done.returncode == 2
    first, last = done.stderr.splitlines()
    assert first.startswith(words)
    assert last == f"Error: process {place} of 2 failed; all processes end"


@pytest.mark.slow
def test_a_wrong_option_of_a_process_that_is_not_the_first_is_said():
    done = differing((), ("--hiden", "3"))
    assert done.returncode == 2
    first, last = done.stderr.splitlines()
    assert first.startswith("Error: No such option: --hiden")
    assert last == "Error: process 1 of 2 failed; all processes end"


@pytest.mark.slow
def test_processes_with_other_data_are_refused(tmp_path):
    paths = [tmp_path / f"{number}.npz" for number in range(2)]
    for number, path in enumerate(paths):
        np.savez(path, X=np.eye(28) * (1 + number), y=np.arange(28) % 2)
    done = differing(*(("--data", path) for path in paths))
    assert done.returncode == 2
    assert done.stderr.startswith("Error: data_sha256 of process 1 differ")
    shutil.copy(paths[0], paths[1])
    assert differing(*(("--data", path) for path in paths)).returncode == 0  # elsewhere


@pytest.mark.slow
def test_process_0_alone_needs_a_free_folder(tmp_path):
    (tmp_path / "used").write_text("")
    both = (("--output", tmp_path / name) for name in ("run", "used"))
    done = differing(*both, common=("--hidden", "4"))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_processes_with_other_code_are_refused(tmp_path):
    shutil.copytree(Path(pluggable_mlp.__file__).parent, tmp_path / "pluggable_mlp")
    changed = tmp_path / "pluggable_mlp" / "special.py"
    changed.write_text(changed.read_text() + "\n")
    environments = {}, {"PYTHONPATH": str(tmp_path)}
    done = differing((), (), environments=environments, cwd=tmp_path.parent)
    assert done.returncode == 2
    assert "the code of pluggable_mlp of process 1 differ" in done.stderr


@pytest.mark.slow
def test_libraries_may_differ_under_reproducible_alone(run_of_one, tmp_path):
    pytest.importorskip("torch")
    folder = tmp_path / "run"
    both = ("--backend", "numpy"), ("--backend", "torch")
    done = differing(*both, common=(*SETTINGS, "--epochs", "4", "--output", folder))
    assert (done.returncode, done.stderr) == (0, "")
    assert told(folder) == told(run_of_one)
    done = differing(*both)
    assert done.returncode == 2
    assert "libraries of process 1 is ('torch'" in done.stderr


@pytest.mark.slow
def test_an_installation_without_mpi4py_says_what_to_install(tmp_path):
    broken = {
        "ImportError('No module named mpi4py')": "no mpi4py",
        "RuntimeError('cannot load MPI library')": "no MPI library",
    }
    for error in broken:
        (tmp_path / "mpi4py.py").write_text(f"raise {error}\n")
        with running("train", *DISTRIBUTED, env=os.environ | {"PYTHONPATH": str(tmp_path)}) as one:
            _, err = one.communicate(timeout=300)
        assert one.returncode == 3
        assert "pip install 'pluggable-mlp[mpi]'" in err
        assert err.count("Error") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "not started by mpiexec; write mpiexec -n 4, for four processes, before"),
        ({"OMPI_COMM_WORLD_SIZE": "3"}, "mpiexec started 3 processes, but MPICH knows of one"),
    ],
)
def test_a_launcher_of_this_mpi_library_is_needed(environment, words):
    pytest.importorskip("mpi4py")
    with running("train", *DISTRIBUTED, env=os.environ | environment) as child:
        _, err = child.communicate(timeout=300)
    assert child.returncode == 2
    assert err.count("Error") == 1
    assert words in err


@pytest.mark.slow
def test_nccl_without_a_gpu_is_reported_once():
    if next(one for one in available_backends() if one.name == "cupy").available:
        pytest.skip("there is a GPU")
    command = ("train", "--distributed", "nccl", "--backend", "cupy")
    done = together((2, *PROGRAM, *command))
    assert done.returncode == 3
    assert done.stderr.count("Error: backend cupy is not available") == 1


@pytest.mark.slow
def test_standard_input_is_refused(run_of_one):
    done = on(2, "evaluate", run_of_one, "--data", "-", stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert "--data is -, but process 0 alone has a standard input" in done.stderr
