"""Commands on several processes, and on one."""

from tests.cli.children import running
from tests.distributed.processes import mpiexec

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


def checkpoints(folder):
    return sorted(folder.glob("checkpoints/*.safetensors"))
