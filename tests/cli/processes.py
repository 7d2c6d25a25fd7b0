"""Commands on several processes."""

from tests.distributed.processes import mpiexec

PROGRAM = ("-m", "pluggable_mlp")
DISTRIBUTED = ("--distributed", "mpi")
SETTINGS = (
    "--arithmetic", "reproducible", "--hidden", "8", "--optimizer", "adam", "--dropout", "0.2",
    "--norm", "batch", "--class-weight", "balanced", "--validation", "0.2", "--batch-size", "512",
)  # fmt: skip
TRAIN = ("train", *SETTINGS, "--epochs", "4")


def on(count, command, *arguments, **options):
    """Return what a command leaves on so many processes."""
    return mpiexec(count, *PROGRAM, command, *DISTRIBUTED, *arguments, **options)


def checkpoints(folder):
    return sorted(folder.glob("checkpoints/*.safetensors"))
