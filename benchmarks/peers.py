"""Against peers that do the same work: training steps, predictions, whole fits.

`estimators.py` has scikit-learn's estimators and ours.
"""

from dataclasses import replace
from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.field import TRIAL_STEPS, Field, field_of, say
from benchmarks.job import Job

__all__ = ["fit", "inference", "steps"]

SIGMOIDS = {
    (784, 100, 10): (1, 32, 128, 1024),
    (784, 1024, 10): (32, 256),
    (784, 1024, 1024, 10): (256,),
    (64, 64, 64, 64, 10): (1, 32),
}
ACTIVATIONS = ("relu", "leaky_relu", "elu", "selu", "gelu", "mish", "tanh")
USERS = [
    *(Job((784, 512, 10), 256, "adam", activation=name) for name in ACTIVATIONS),
    *(Job((30, 100, 4), 200, "adam", activation=name) for name in ACTIVATIONS),
    Job((14, 256, 256, 256, 2), 256, "adam", activation="selu"),
    Job((14, 256, 256, 256, 2), 256, "adam", activation="mish"),
    Job((784, 512, 512, 10), 256, "adam", activation="relu"),
    Job((784, 512, 512, 10), 256, "adam", activation="gelu"),
]
"""The activations, and the networks of scikit-learn's defaults, of tables and of images."""
GRID = [
    Job(sizes, batch, optimizer)
    for sizes, batches in SIGMOIDS.items()
    for batch in batches
    for optimizer in ("sgd", "adam")
] + USERS
QUICK = [
    Job((784, 100, 10), 128),
    Job((784, 100, 10), 1024),
    Job((784, 1024, 10), 256),
    Job((784, 1024, 10), 32, "adam"),
    Job((784, 100, 10), 1),
    Job((64, 64, 64, 64, 10), 1, "adam"),
    Job((30, 100, 4), 200, "adam", activation="relu"),
]
FITS = [
    Job((784, 100, 10), 128, "sgd", 59904, 10000),
    Job((784, 100, 10), 128, "adam", 59904, 10000),
    Job((784, 100, 10), 1024, "sgd", 59392, 10000),
    Job((784, 1024, 10), 256, "sgd", 20480, 10000),
    Job((784, 1024, 10), 256, "adam", 20480, 10000),
    Job((784, 1024, 1024, 10), 256, "adam", 10240, 10000),
    Job((784, 100, 10), 1, "sgd", 5000, 10000),
    Job((64, 64, 64, 64, 10), 32, "adam", 20480, 10000),
    Job((30, 100, 4), 200, "adam", 6000, 2000, activation="relu"),
]
_TEST_EXAMPLES = 64  # for the proof of the same work
_SECONDS_OF_PRODUCTS = 0.1  # a sample is as many steps as the limit takes in this time
_MOST_STEPS = 4096  # many steps: an epoch has costs of its own
_MOST_INPUTS = 2**24  # numbers, which each contender has in its memory


def steps(backend: str, quick: bool) -> dict[str, Any]:
    """Measure training steps: each contender shuffles its examples, and computes every loss."""
    return _measure("steps", backend, QUICK if quick else GRID)


def inference(backend: str, quick: bool) -> dict[str, Any]:
    """Measure class probabilities, batch by batch."""
    jobs = [job for job in (QUICK if quick else GRID) if job.optimizer == "sgd" or job in USERS]
    return _measure("inference", backend, jobs)


def fit(backend: str, quick: bool) -> dict[str, Any]:
    """Measure whole fits as a user runs them: an epoch, then the classes of test examples."""
    return _measure("fit", backend, FITS[:1] if quick else FITS)


def _measure(part: str, backend: str, jobs: list[Job]) -> dict[str, Any]:
    """Return {"cases": [{network, batch, optimizer, count, seconds: {contender: samples}, …}]}."""
    entries = dict(CONTENDERS[backend])
    if part == "inference":
        for name in ("jax-scan", "torch-graph"):  # they predict as "jax" and "torch" do
            entries.pop(name, None)
    with field_of(entries) as field:
        return {"cases": [_case(part, field, job) for job in jobs]}


def _case(part: str, field: Field, job: Job) -> dict[str, Any]:
    """Return a case, with how many steps, batches or fits a sample is, its `count`."""
    say(f"{part}: {job.network}, batch {job.batch}, {job.optimizer}")
    measure, count = "time_fit", 1
    if part == "steps":
        measure, count = "time_epoch", _sized(field, job)
        # Predictions are part of the proof: in the job's batches, so that nothing compiles twice.
        test_examples = job.batch * max(1, _TEST_EXAMPLES // job.batch)
        job = replace(job, examples=count * job.batch, test_examples=test_examples)
    elif part == "inference":
        measure, count = "time_prediction", _sized(field, job)
        job = replace(job, examples=TRIAL_STEPS * job.batch, test_examples=count * job.batch)
    field.prepare(job)
    field.prove_same_work(job)
    field.ask("warm_up")
    field.ask(measure)  # with whatever compiles
    samples = field.sample(measure)
    return {
        "network": job.network,
        "batch": job.batch,
        "optimizer": job.optimizer,
        "count": count,
        "failed": field.failures,
        "seconds": {name: [each / count for each in samples[name]] for name in samples},
    }


def _sized(field: Field, job: Job) -> int:
    """Return how many steps of the job make a good sample, by the clock of the limit."""
    count = 10
    limit = Field({"limit": field.entries["limit"]}, field.executors)
    limit.prepare(replace(job, examples=count * job.batch))
    limit.ask("warm_up")
    seconds = min(limit.sample("time_epoch")["limit"]) / count
    most = min(_MOST_STEPS, _MOST_INPUTS // (job.sizes[0] * job.batch))
    return max(min(int(_SECONDS_OF_PRODUCTS / seconds), most), TRIAL_STEPS)
