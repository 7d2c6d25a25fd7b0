"""The training loop with all of its settings in one call."""

from pluggable_mlp.training.loop import training_progress
from pluggable_mlp.training.streaming import seeded_order
from pluggable_mlp.training.train import first_steps


def training(
    mlp,
    parameters,
    examples,
    *,
    epochs,
    seed,
    shuffle=True,
    start=None,
    every=None,
    whole_batches=False,
    **settings,
):
    """What `training_progress` yields."""
    steps = first_steps(mlp, parameters, examples, seed=seed, **settings)
    order = seeded_order(seed if shuffle else None)
    how = {"start": start, "every": every, "whole_batches": whole_batches}
    return training_progress(steps, examples, order=order, epochs=epochs, **how)
