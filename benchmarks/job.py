"""What every contender is given: the network, the data, the batches and where training starts.

NumPy alone, and nothing of the library that is measured.  What a contender does with it belongs
in `contenders/`.

Shapes: inputs (examples, in), labels (examples,), W (in, out), b (out,).
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

__all__ = ["ADAM", "CLASSES", "HEADLINES", "SCALE", "Job", "Work"]

SCALE = 1 / 256
CLASSES = 10
# (network, batch) of the short table, plain SGD.
HEADLINES = (
    ("784-100-10", 128),
    ("784-100-10", 1024),
    ("784-1024-10", 256),
    ("784-100-10", 1),
)
LEARNING_RATES = {"sgd": 0.1, "adam": 0.001}
# A tiny epsilon: scikit-learn adds it before the correction of the bias, the others after it, and
# at 1e-8 that alone is seen in the losses of wide layers.
ADAM = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-12}


@dataclass(frozen=True)
class Job:
    """The work to be measured, the same for all contenders.

    Attributes
    ----------
    sizes : tuple of int
        Inputs, hidden widths, outputs; the hidden layers are sigmoids.
    batch : int
    optimizer : {"sgd", "adam"}
        Without momentum; Adam with its usual betas.
    examples, test_examples : int
        Whole batches: no contender meets a smaller last batch of training.
    data : {"random", "standardised", "fashion-mnist"}
        Random pixels; random floats; or images of that set.
    dtype : {"float32", "float64"}
    seed : int
        Of the random data, the initial parameters and the shuffles.
    """

    sizes: tuple[int, ...]
    batch: int
    optimizer: str = "sgd"
    examples: int = 0
    test_examples: int = 0
    data: str = "random"
    dtype: str = "float32"
    seed: int = 0

    @property
    def network(self) -> str:
        """The sizes as text: 784-100-10."""
        return "-".join(map(str, self.sizes))

    @property
    def in_headline(self) -> bool:
        """Whether the short table shows it."""
        return self.optimizer == "sgd" and (self.network, self.batch) in HEADLINES

    @property
    def learning_rate(self) -> float:
        return LEARNING_RATES[self.optimizer]


class Work:
    """The arrays of a job, made when they are first asked for.

    Parameters
    ----------
    job : Job
    """

    def __init__(self, job: Job) -> None:
        if job.examples % job.batch:
            raise ValueError(f"examples is {job.examples}, expected a multiple of {job.batch}")
        self.job = job

    @cached_property
    def pixels(self) -> tuple[Any, Any]:
        """The inputs for training and for testing, uint8."""
        return self._inputs_and_labels[0]

    @cached_property
    def labels(self) -> tuple[Any, Any]:
        """The labels for training and for testing, int64."""
        return self._inputs_and_labels[1]

    def floats(self) -> tuple[Any, Any]:
        """Return the inputs for training and for testing in the job's dtype, and drop the pixels.

        Who asks for floats has no use for the pixels, so they do not count as its memory.
        """
        scale = np.asarray(SCALE, dtype=self.job.dtype)
        train, test = (pixels.astype(self.job.dtype) * scale for pixels in self.pixels)
        if self.job.data == "standardised":
            mean, deviation = train.mean(), train.std()
            train, test = (train - mean) / deviation, (test - mean) / deviation
        self.pixels, self._inputs_and_labels = (None, None), ((None, None), self.labels)
        return train, test

    @cached_property
    def parameters(self) -> list[tuple[Any, Any]]:
        """Where training starts: (W, b) of each layer, by Glorot and Bengio's uniform rule.

        Rounded to float32, so that both dtypes start from the same numbers.
        """
        rng = np.random.default_rng([1, self.job.seed])
        drawn = [
            (rng.uniform(-1.0, 1.0, (m, n)) * np.sqrt(6 / (m + n)), np.zeros(n))
            for m, n in pairwise(self.job.sizes)
        ]
        return [
            (W.astype("float32").astype(self.job.dtype), b.astype(self.job.dtype)) for W, b in drawn
        ]

    @cached_property
    def _inputs_and_labels(self) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        counts = self.job.examples, self.job.test_examples
        if self.job.data == "fashion-mnist":
            return _fashion_mnist(*counts)
        rng = np.random.default_rng([2, self.job.seed])
        features, classes = self.job.sizes[0], self.job.sizes[-1]
        pixels = rng.integers(0, 256, (sum(counts), features), dtype=np.uint8)
        pixels[pixels < 128] = 0  # half of an image is background
        # Something to learn: the class is the largest of some sums of pixels.
        each = min(8, features // classes)
        sums = pixels[:, : each * classes].reshape(-1, classes, each).sum(axis=2, dtype=np.int64)
        labels = sums.argmax(axis=1)
        cut = counts[0]
        return (pixels[:cut], pixels[cut:]), (labels[:cut], labels[cut:])


def _fashion_mnist(count: int, test_count: int) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    from pluggable_mlp.data import load_dataset

    data = load_dataset("fashion-mnist")
    return (
        (data.train.inputs[:count], data.test.inputs[:test_count]),
        (data.train.targets[:count], data.test.targets[:test_count]),
    )
