"""How long it takes to classify 88 % of Fashion-MNIST's test images rightly.

The time until then depends on luck: each contender runs from three seeds, for the initial
parameters and for its own shuffles.
"""

from typing import Any

from benchmarks.job import Job
from benchmarks.measure import field_of, say
from benchmarks.parts.images import images

__all__ = ["measure"]

ACCURACY, MOST_EPOCHS, SEEDS = 0.88, 40, 3
NAMES = (
    "ours", "ours-uint8", "ours-torch", "ours-jax",
    "torch", "torch-compiled", "jax", "jax-scan", "scikit-learn", "loop",
)  # fmt: skip


def measure(backend: str, quick: bool, seconds: float) -> dict[str, Any]:
    """Return {"accuracy", "network", …, "runs": {name: [{seconds, epochs, accuracy}]}}."""
    del seconds  # the work is fixed
    if images() != "fashion-mnist":
        return {"left_out": "Fashion-MNIST was not at hand"}
    accuracy, seeds = (0.8, 1) if quick else (ACCURACY, SEEDS)
    runs: dict[str, list[dict[str, float]]] = {}
    with field_of(backend, NAMES) as field:
        for seed in range(seeds):
            job = Job((784, 100, 10), 128, "adam", 59904, 10000, "fashion-mnist", seed=seed)
            say(f"accuracy: seed {seed}")
            field.prepare(job)
            if not seed:
                field.ask_all("time_fit")  # with whatever compiles
            for name, answer in field.ask_all("time_to", accuracy, MOST_EPOCHS).items():
                run = dict(zip(("seconds", "epochs", "accuracy"), answer, strict=True))
                runs.setdefault(name, []).append(run)
    return {
        "accuracy": accuracy,
        "network": job.network,
        "batch": job.batch,
        "optimizer": job.optimizer,
        "failed": field.failures,
        "runs": runs,
    }
