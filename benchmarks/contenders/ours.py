"""This library, by its own training loop, on any of its backends and either arithmetic."""

from dataclasses import replace
from typing import Any

from benchmarks.contenders import Contender
from benchmarks.job import ADAM, SCALE, Work
from pluggable_mlp import MLP, SGD, Adam, get_backend, train
from pluggable_mlp.namespaces import unwrapped
from pluggable_mlp.training.examples import make_examples
from pluggable_mlp.training.loop import epochs_of, training_progress
from pluggable_mlp.training.streaming import seeded_order
from pluggable_mlp.training.train import first_steps

__all__ = ["Ours"]

_NO_END = 10**9


class Ours(Contender):
    """The library as its command line runs it.

    Parameters
    ----------
    work : Work
    backend : str
        Such as "torch:cuda".
    pixels : bool
        Leave the inputs uint8, as `load_dataset` gives images; else floats, made beforehand.
    arithmetic : {"native", "reproducible"}
    """

    def __init__(
        self, work: Work, backend: str, pixels: bool = False, arithmetic: str = "native"
    ) -> None:
        job = work.job
        self.work, self._arithmetic = work, arithmetic
        self._backend = get_backend(backend)
        self._mlp = MLP(job.sizes, activation="sigmoid")
        adam = Adam(job.learning_rate, **ADAM) if job.optimizer == "adam" else None
        self._optimizer = adam or SGD(job.learning_rate)
        self._scale = SCALE if pixels else None
        inputs, test_inputs = work.pixels if pixels else work.floats()
        self._examples = make_examples(
            self._mlp,
            inputs,
            work.labels[0],
            backend=self._backend,
            dtype=job.dtype,
            scale=self._scale,
            arithmetic=arithmetic,
        )
        self._test_inputs = self._backend.asarray(test_inputs)
        self._initial = [
            {"W": self._backend.asarray(W), "b": self._backend.asarray(b)}
            for W, b in work.parameters
        ]

    def start(self, *, shuffle: bool, steps: int | None = None) -> None:
        job, examples = self.work.job, self._examples
        if steps:
            stop = steps * job.batch
            examples = replace(
                examples, inputs=examples.inputs[:stop, ...], targets=examples.targets[:stop]
            )
        self._parameters = self._initial
        taken = first_steps(
            self._mlp,
            self._initial,
            examples,
            backend=self._backend,
            optimizer=self._optimizer,
            arithmetic=self._arithmetic,
            batch_size=job.batch,
            seed=job.seed,
        )
        order = seeded_order(job.seed if shuffle else None)
        self._epochs = epochs_of(training_progress(taken, examples, order=order, epochs=_NO_END))

    def epoch(self) -> float:
        done = next(self._epochs)
        self._parameters = done.parameters
        return done.train_loss

    def fit(self) -> tuple[float, float]:
        job = self.work.job
        result = train(
            self._mlp,
            *unwrapped((self._examples.inputs, self._examples.targets)),
            backend=self._backend,
            parameters=self._initial,
            optimizer=self._optimizer,
            epochs=1,
            batch_size=job.batch,
            dtype=job.dtype,
            arithmetic=self._arithmetic,
            seed=job.seed,
            scale=self._scale,
        )
        self._parameters = result.parameters
        return result.history[-1], self.accuracy()

    def cut(self, batch: int) -> list[Any]:
        x = self._test_inputs
        batches = [x[begin : begin + batch, ...] for begin in range(0, x.shape[0], batch)]
        self._backend.synchronize()  # JAX slices while Python goes on
        return batches

    def predict(self, batches: list[Any]) -> list[Any]:
        xp, parts = self._backend.xp, []
        dtype = getattr(xp, self.work.job.dtype)
        for each in batches:
            x = xp.astype(each, dtype) * self._scale if self._scale else each
            parts.append(self._mlp.predict_proba(self._parameters, x, arithmetic=self._arithmetic))
        return [self._backend.to_numpy(part) for part in parts]
