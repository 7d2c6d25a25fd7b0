"""Record schedules.json: the rates of the schedules of torch.optim, scikit-learn and pytabkit.

Run by hand where all are installed; the tests read the numbers only, and nothing of
pluggable_mlp is imported here.
"""

import json
import runpy
from importlib.metadata import distribution, version
from pathlib import Path

import numpy as np
import sklearn
import torch
from sklearn.neural_network._stochastic_optimizers import SGDOptimizer
from torch.optim import SGD
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

STEPS = 60
LOSSES = [1.0, 0.9, 0.9, 0.95, 0.91, 0.5, 0.49999, 0.7, 0.6, 0.6, 0.6, 0.6, 0.6, 0.4, 0.4, 0.4]


def optimizer(rate):
    return SGD([torch.zeros(1, requires_grad=True)], lr=rate)


def rates(make, steps=STEPS, rate=0.3):
    """The rates of `steps` updates."""
    of = optimizer(rate)
    scheduler = make(of)
    seen = []
    for _ in range(steps):
        seen.append(of.param_groups[0]["lr"])
        of.step()
        scheduler.step()
    return seen


def warm_up(of):
    first = LinearLR(of, start_factor=1 / 8, total_iters=7)  # (t + 1) / 8
    return SequentialLR(of, [first, CosineAnnealingLR(of, T_max=52)], milestones=[8])


def plateau():
    """The rate after each epoch."""
    of = optimizer(0.3)
    scheduler = ReduceLROnPlateau(of, factor=0.2, patience=2, threshold=1e-3)
    seen = []
    for loss in LOSSES:
        scheduler.step(loss)
        seen.append(of.param_groups[0]["lr"])
    return seen


def inverse_scaling():
    of = SGDOptimizer([np.zeros(1)], learning_rate_init=0.3, lr_schedule="invscaling", power_t=0.7)
    seen = []
    for step in range(STEPS):
        of.iteration_ends(step)
        seen.append(float(of.learning_rate))
    return seen


def of_pytabkit(names):
    """From the module alone: the package needs PyTorch Lightning."""
    file = distribution("pytabkit").locate_file("pytabkit/models/training/scheduling.py")
    get_schedule = runpy.run_path(str(file))["get_schedule"]
    schedules = {name: get_schedule(name) for name in names}
    return {
        name: [float(0.3 * of.call_time_(t / STEPS)) for t in range(STEPS + 1)]
        for name, of in schedules.items()
    }


def main():
    recorded = {
        "versions": {
            **{of.__name__: of.__version__ for of in (sklearn, torch)},
            "pytabkit": version("pytabkit"),
        },
        "step": rates(lambda of: StepLR(of, step_size=7, gamma=0.6)),
        "exponential": rates(lambda of: ExponentialLR(of, gamma=0.97)),
        "cosine": rates(lambda of: CosineAnnealingLR(of, T_max=STEPS, eta_min=0.02), STEPS + 1),
        "one_cycle": rates(lambda of: OneCycleLR(of, max_lr=0.3, total_steps=STEPS), STEPS - 1),
        "one_cycle rising 0.4": rates(
            lambda of: OneCycleLR(
                of,
                max_lr=0.3,
                total_steps=STEPS,
                pct_start=0.4,
                div_factor=10.0,
                final_div_factor=100.0,
            ),
            STEPS - 1,
        ),
        "cosine warmup": rates(warm_up),
        "inverse_scaling": inverse_scaling(),
        "losses": LOSSES,
        "plateau": plateau(),
        **of_pytabkit(["flat_cos", "coslog4"]),
    }
    path = Path(__file__).with_name("schedules.json")
    path.write_text(json.dumps(recorded, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
