"""scikit-learn's MLPClassifier: an epoch is one call of `partial_fit`."""

from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier

from benchmarks.contenders import Contender
from benchmarks.job import ADAM, Work

__all__ = ["ScikitLearn"]


class ScikitLearn(Contender):
    """MLPClassifier with the job's settings: no momentum, no penalty, no early stopping."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self._inputs, self._test_inputs = work.floats()

    def start(self, *, shuffle: bool, steps: int | None = None) -> None:
        job = self.work.job
        self._count = steps * job.batch if steps else len(self._inputs)
        self._classifier = MLPClassifier(
            job.sizes[1:-1],
            activation="logistic",
            solver=job.optimizer,
            alpha=0.0,
            batch_size=job.batch,
            learning_rate_init=job.learning_rate,
            momentum=0.0,
            nesterovs_momentum=False,
            beta_1=ADAM["beta1"],
            beta_2=ADAM["beta2"],
            epsilon=ADAM["epsilon"],
            shuffle=shuffle,
            random_state=np.random.RandomState(job.seed),
        )
        # Its own way to initial parameters is random: a first call makes the arrays, then ours
        # take their place, and the optimizer starts again.
        first = slice(0, job.batch)
        self._classifier.partial_fit(
            self._inputs[first], self.work.labels[0][first], classes=np.arange(job.sizes[-1])
        )
        self._classifier.coefs_ = [W.copy() for W, _ in self.work.parameters]
        self._classifier.intercepts_ = [b.copy() for _, b in self.work.parameters]
        del self._classifier._optimizer

    def epoch(self) -> float:
        self._classifier.partial_fit(
            self._inputs[: self._count], self.work.labels[0][: self._count]
        )
        return float(self._classifier.loss_)

    def cut(self, batch: int) -> list[Any]:
        x = self._test_inputs
        return [x[begin : begin + batch] for begin in range(0, len(x), batch)]

    def predict(self, batches: list[Any]) -> list[Any]:
        return [self._classifier.predict_proba(x) for x in batches]
