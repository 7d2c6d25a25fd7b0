"""This library, by its own training loop, on any of its backends and either arithmetic."""

from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.contenders.contender import Contender
from benchmarks.job import SCALE, Job
from pluggable_mlp import MLP, SGD, Adam, get_backend, train
from pluggable_mlp.arrays.shortcuts import backend_context, in_context
from pluggable_mlp.namespaces import unwrapped
from pluggable_mlp.training.examples import make_examples
from pluggable_mlp.training.loop import epochs_of, training_progress
from pluggable_mlp.training.streaming import seeded_order
from pluggable_mlp.training.train import first_steps

__all__ = ["Ours"]

_NO_END = 10**9


class Ours(Contender):
    """The library as its command line runs it, on a backend such as "torch:cuda".

    Its inputs are floats, made beforehand, or uint8 `pixels`, as `load_dataset` gives images.
    """

    def __init__(
        self, job: Job, backend: str, pixels: bool = False, arithmetic: str = "native"
    ) -> None:
        super().__init__(job)
        self._backend, self._arithmetic = get_backend(backend), arithmetic
        self._mlp = MLP(job.sizes, activation=job.activation)
        self._scale = SCALE if pixels else None
        inputs, test_inputs = job.pixels() if pixels else job.floats()
        settings: dict[str, Any] = {"backend": self._backend, "arithmetic": arithmetic}
        with backend_context(self._backend):
            self._examples = make_examples(
                self._mlp, inputs, job.labels(), dtype=job.dtype, scale=self._scale, **settings
            )
        self.test_inputs = self._backend.asarray(test_inputs)
        self._initial = [
            {"W": self._backend.asarray(W), "b": self._backend.asarray(b)}
            for W, b in job.parameters()
        ]
        # Adam's default betas and epsilon are the job's.
        optimizer = (Adam if job.optimizer == "adam" else SGD)(job.learning_rate)
        self._settings = {**settings, "optimizer": optimizer, "batch_size": job.batch, "seed": 0}

    def start(self, *, shuffle: bool, steps: int | None = None) -> None:
        super().start(shuffle=shuffle, steps=steps)
        examples = self._examples
        if steps:
            inputs, targets = examples.inputs[: self.count, ...], examples.targets[: self.count]
            examples = replace(examples, inputs=inputs, targets=targets)
        self._parameters = self._initial
        order = seeded_order(0 if shuffle else None)
        with backend_context(self._backend):
            taken = first_steps(self._mlp, self._initial, examples, **self._settings)
            progress = training_progress(taken, examples, order=order, epochs=_NO_END)
        self._epochs = in_context(partial(backend_context, self._backend), epochs_of(progress))

    def epoch(self) -> float:
        done = next(self._epochs)
        self._parameters = done.parameters
        return done.train_loss

    def fit(self) -> float:
        result = train(
            self._mlp,
            *unwrapped((self._examples.inputs, self._examples.targets)),
            parameters=self._initial,
            epochs=1,
            dtype=self.job.dtype,
            scale=self._scale,
            **self._settings,
        )
        self._parameters = result.parameters
        return result.history[-1]

    def cut(self, batch: int) -> list[Any]:
        batches = super().cut(batch)
        self._backend.synchronize()  # JAX slices while Python goes on
        return batches

    def predict(self, batches: list[Any]) -> list[Any]:
        xp, parts = self._backend.xp, []
        dtype = getattr(xp, self.job.dtype)
        for each in batches:
            x = xp.astype(each, dtype) * self._scale if self._scale else each
            parts.append(self._mlp.predict_proba(self._parameters, x, arithmetic=self._arithmetic))
        return [self._backend.to_numpy(part) for part in parts]
