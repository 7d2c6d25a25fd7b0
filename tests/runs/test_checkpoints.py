"""A run that goes on from any checkpoint ends as one that was never disturbed; what is none."""

import json

import numpy as np
import pytest

from pluggable_mlp import plan
from pluggable_mlp.backends import get_backend
from pluggable_mlp.options import Options
from pluggable_mlp.runs.checkpoints import checkpoint_of, read_checkpoint, restore, save_checkpoint
from pluggable_mlp.runs.run import Run
from pluggable_mlp.training.components import OPTIMIZERS, make_optimizer


def positions_of(run, folder, every):
    """Train to the end, saving every so many steps and ends of epochs; return where."""
    saved = []
    for count, progress in enumerate(run.train(), start=1):
        if count % every == 0:
            place = folder / str(count)
            place.mkdir(parents=True)
            history = json.loads(json.dumps(run.history))
            at = progress.position()
            save_checkpoint(place, checkpoint_of(run, at))
            saved.append((place, at.state.t, history))
    return saved


def end_of(settings, backend, place, step, history):
    """Go on from a checkpoint to the end; return all hashes and losses."""
    run = Run.of(settings, backend)
    run.add_history(history)
    restore(run, read_checkpoint(place, step))
    list(run.train())
    return reached(run)


def reached(run):
    lines = [{k: v for k, v in line.items() if k != "seconds"} for line in run.history]
    return lines, run.kept_epoch, run.test_measures()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_goes_on_from_any_step(tmp_path, optimizer):
    large = optimizer == "lbfgs"
    settings = Options(
        hidden=(12,), norm=None if large else "batch", dropout=0.0 if large else 0.25,
        optimizer=optimizer, batch_size=2000 if large else 256, epochs=4, seed=3,
        clip_norm=None if large else 1.0,
        schedule=None if large else "plateau:patience=0,threshold=0.9",
    )  # fmt: skip
    backend = get_backend("numpy")
    run = Run.of(settings, backend)
    saved = positions_of(run, tmp_path, every=1 if large else 4)
    assert len(saved) > 3
    for place, step, history in saved:
        assert end_of(settings, backend, place, step, history) == reached(run)


def test_averaged_parameters_go_on_from_any_step(tmp_path, monkeypatch):
    """No option of the command line: a transform of the optimizer."""
    averaged = make_optimizer("adam", average=0.9, weight_decay=0.1, clip_norm=1.0)
    monkeypatch.setattr(plan, "make_optimizer", lambda *_, **__: averaged)
    settings, numpy = Options(hidden=(12,), batch_size=256, epochs=2), get_backend("numpy")
    run = Run.of(settings, numpy)
    for place, step, history in positions_of(run, tmp_path, every=3):
        assert end_of(settings, numpy, place, step, history) == reached(run)


def test_every_backend_goes_on_with_its_own_bits(backend, tmp_path):
    settings = Options(hidden=(12,), optimizer="adam", batch_size=256, epochs=2, norm="batch")
    run = Run.of(settings, backend)
    saved = positions_of(run, tmp_path, every=5)
    for place, step, history in saved:
        assert end_of(settings, backend, place, step, history) == reached(run)


def test_numbers_that_are_not_finite_are_no_checkpoint(tmp_path):
    run = Run.of(Options(epochs=1, hidden=()), get_backend("numpy"))
    position = next(iter(run.train())).position()
    save_checkpoint(tmp_path, checkpoint_of(run, position))
    run.kept_epoch, run.parameters = 1, [{"W": np.array([1.0, np.nan])}]
    assert checkpoint_of(run, position) is None
    assert read_checkpoint(tmp_path, 1).parameters is None
