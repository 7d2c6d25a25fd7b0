"""The definition of every loss, to 50 digits."""

import mpmath
import numpy as np

from tests.network.losses.cases import OUTPUTS


def elements(of_one):
    """The loss of an example as the mean over its outputs."""
    return lambda z, t: sum(of_one(a, b) for a, b in zip(z, t, strict=True)) / len(z)


def cross_entropy(smoothing):
    def of_example(z, t):
        smoothed = [(1 - smoothing) * p + smoothing / mpmath.mpf(len(z)) for p in t]
        total = sum(mpmath.exp(a) for a in z)
        return -sum(p * mpmath.log(mpmath.exp(a) / total) for a, p in zip(z, smoothed, strict=True))

    return of_example


def logistic(z, t):
    p = 1 / (1 + mpmath.exp(-z))
    return -t * mpmath.log(p) - (1 - t) * mpmath.log(1 - p)


def huber(delta):
    return lambda z, t: (
        (z - t) ** 2 / 2 if abs(z - t) <= delta else delta * (abs(z - t) - mpmath.mpf(delta) / 2)
    )


def pinball(q):
    return lambda z, t: max(q * (t - z), (q - 1) * (t - z))


EXACT = {
    "softmax_cross_entropy": cross_entropy(0),
    "softmax_cross_entropy 0.1": cross_entropy(mpmath.mpf("0.1")),
    "sigmoid_cross_entropy": elements(logistic),
    "squared_error": elements(lambda z, t: (z - t) ** 2),
    "absolute_error": elements(lambda z, t: abs(z - t)),
    "huber": elements(huber(1)),
    "huber 0.25": elements(huber(0.25)),
    "quantile": elements(pinball(mpmath.mpf("0.5"))),
    "quantile 0.9": elements(pinball(mpmath.mpf("0.9"))),
    "poisson": elements(lambda z, t: mpmath.exp(z) - t * z),
}


def exact(name, z, targets, weights):
    """The weighted mean over the batch of the losses by definition, to 50 digits."""
    if targets.ndim == 1:
        targets = np.eye(OUTPUTS)[targets]
    weights = np.ones(len(z)) if weights is None else weights
    with mpmath.workdps(50):
        losses = [
            EXACT[name]([mpmath.mpf(a) for a in row], [mpmath.mpf(b) for b in t])
            for row, t in zip(z.tolist(), targets.tolist(), strict=True)
        ]
        total = sum(mpmath.mpf(w) for w in weights.tolist())
        return float(sum(w * x for w, x in zip(weights.tolist(), losses, strict=True)) / total)
