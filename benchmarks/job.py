"""What every contender is given: the network, the data, the batches and where training starts.

Shapes: inputs (examples, in), labels (examples,), W (in, out), b (out,).
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

__all__ = ["ADAM", "SCALE", "Job"]

SCALE = 1 / 256
LEARNING_RATES = {"sgd": 0.1, "adam": 0.001}
ADAM = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}


@dataclass(frozen=True)
class Job:
    """The work to be measured, the same for all contenders; arrays are made at each call."""

    sizes: tuple[int, ...]  # inputs, hidden widths, outputs
    batch: int
    optimizer: str = "sgd"  # without momentum; or "adam", with its usual betas
    examples: int = 0  # for training in whole batches: no contender meets a smaller last one
    test_examples: int = 0
    dtype: str = "float32"
    standardised: bool = False  # floats of mean 0 and deviation 1, else the pixels times `SCALE`
    activation: str = "sigmoid"  # of the hidden layers; each with its usual parameters

    @property
    def network(self) -> str:
        """The sizes as text, and the activation but for sigmoids: 784-100-10 relu."""
        sizes = "-".join(map(str, self.sizes))
        return sizes if self.activation == "sigmoid" else f"{sizes} {self.activation}"

    @property
    def learning_rate(self) -> float:
        return LEARNING_RATES[self.optimizer]

    def pixels(self) -> tuple[Any, Any]:
        """Return the inputs for training and for testing, uint8."""
        shape = self.examples + self.test_examples, self.sizes[0]
        pixels = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
        pixels[pixels < 128] = 0  # half of an image is background
        return pixels[: self.examples], pixels[self.examples :]

    def labels(self) -> Any:
        """Return the labels for training, int64: which of some sums of pixels is the largest."""
        pixels, classes = self.pixels()[0], self.sizes[-1]
        each = min(8, self.sizes[0] // classes)
        sums = pixels[:, : each * classes].reshape(-1, classes, each).sum(axis=2, dtype=np.int64)
        return sums.argmax(axis=1)

    def floats(self) -> tuple[Any, Any]:
        """Return the inputs for training and for testing in the job's dtype."""
        scale = np.asarray(SCALE, dtype=self.dtype)
        train, test = (pixels.astype(self.dtype) * scale for pixels in self.pixels())
        if self.standardised:
            mean, deviation = train.mean(), train.std()
            train, test = (train - mean) / deviation, (test - mean) / deviation
        return train, test

    def parameters(self) -> list[tuple[Any, Any]]:
        """Return where training starts: (W, b) of each layer, by Glorot and Bengio's uniform rule.

        Rounded to float32, so that both dtypes start from the same numbers.
        """
        rng = np.random.default_rng(1)
        drawn = [
            (rng.uniform(-1.0, 1.0, (m, n)) * np.sqrt(6 / (m + n)), np.zeros(n))
            for m, n in pairwise(self.sizes)
        ]
        return [(W.astype("float32").astype(self.dtype), b.astype(self.dtype)) for W, b in drawn]
