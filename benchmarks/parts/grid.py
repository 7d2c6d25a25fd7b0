"""The grid of networks, batches and optimizers, and how many examples suit a cell's clock."""

from collections.abc import Iterator

from benchmarks.job import Job
from benchmarks.measure import TRIAL_STEPS, Field

__all__ = ["cells", "sized"]

NETWORKS = ((784, 100, 10), (784, 1024, 10), (784, 1024, 1024, 10), (64, 64, 64, 64, 10))
BATCHES = (1, 32, 128, 256, 1024)
OPTIMIZERS = ("sgd", "adam")
QUICK = [
    Job((784, 100, 10), 128),
    Job((784, 100, 10), 1024),
    Job((784, 1024, 10), 256),
    Job((784, 1024, 10), 32, "adam"),
    Job((784, 100, 10), 1),
    Job((64, 64, 64, 64, 10), 1, "adam"),
]

_SECONDS_OF_PRODUCTS = 0.1  # a sample is as many steps as the limit takes in this time
_MOST_STEPS = 4096  # many steps: an epoch has costs of its own
_MOST_INPUTS = 2**24  # numbers, which each contender has in its memory


def cells(optimizers: tuple[str, ...] = OPTIMIZERS, quick: bool = False) -> Iterator[Job]:
    """Give the jobs of the grid; both optimizers of a network and a batch in a row."""
    if quick:
        yield from (job for job in QUICK if job.optimizer in optimizers)
        return
    for sizes in NETWORKS:
        for batch in BATCHES:
            for optimizer in optimizers:
                yield Job(sizes, batch, optimizer)


def sized(field: Field, job: Job) -> int:
    """Return how many steps of the job make a good sample, by the clock of the limit."""
    steps = 2 * TRIAL_STEPS
    limit = field.workers["limit"]
    limit.ask("prepare", Job(job.sizes, job.batch, examples=steps * job.batch))
    limit.ask("start")
    seconds = min(limit.ask("time_epoch") for _ in range(3)) / steps
    most = min(_MOST_STEPS, _MOST_INPUTS // (job.sizes[0] * job.batch))
    wanted = min(int(_SECONDS_OF_PRODUCTS / seconds), most)
    return max(wanted, TRIAL_STEPS)
