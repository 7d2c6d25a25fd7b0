"""The rate that falls when the loss no longer does: the only schedule that hears of it."""

import sys
from dataclasses import dataclass

from pluggable_mlp.hyperparameters import keep_count, keep_number
from pluggable_mlp.training.schedules.contract import Numbers
from pluggable_mlp.training.schedules.decays import Constant

__all__ = ["Plateau"]


@dataclass(frozen=True)
class Plateau(Constant):
    """The rate is multiplied by `factor` when the training loss no longer falls.

    torch.optim's ReduceLROnPlateau with its relative threshold: an epoch is better if its loss
    is below best (1 - threshold); after more than `patience` epochs in a row that are not, the
    rate falls.  The loop tells each epoch's loss (`after_epoch`).

    Parameters
    ----------
    learning_rate : float
    factor : float, default 0.1
        At least 0 and below 1.
    patience : int, default 10
        How many bad epochs in a row are borne.
    threshold : float, default 0.0001
        The relative improvement that counts, at least 0 and below 1.
    """

    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_number(self, "factor", at_least=0.0, below=1.0)
        keep_count(self, "patience", at_least=0)
        keep_number(self, "threshold", at_least=0.0, below=1.0)

    def initial_numbers(self) -> Numbers:
        """Return the factor of the rate, the best loss so far and the bad epochs in a row."""
        # The largest float in place of infinity, which JSON does not know.
        return {"rate_factor": 1.0, "best_loss": sys.float_info.max, "bad_epochs": 0}

    def after_epoch(self, numbers: Numbers, loss: float) -> Numbers:
        """Return the numbers after an epoch of that mean training loss."""
        if loss < numbers["best_loss"] * (1.0 - self.threshold):
            return {**numbers, "best_loss": loss, "bad_epochs": 0}
        bad = numbers["bad_epochs"] + 1
        if bad <= self.patience:
            return {**numbers, "bad_epochs": bad}
        return {**numbers, "bad_epochs": 0, "rate_factor": numbers["rate_factor"] * self.factor}
