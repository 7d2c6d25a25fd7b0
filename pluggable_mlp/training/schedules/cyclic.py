"""Rates along half cosine waves: they must know how many steps there will be."""

from dataclasses import dataclass

from pluggable_mlp.hyperparameters import keep_count, keep_number
from pluggable_mlp.training.elementary import cos_pi
from pluggable_mlp.training.schedules.decays import Constant

__all__ = ["Cosine", "OneCycle"]


def _between(first: float, last: float, part: float) -> float:
    """Return the half cosine wave from first (part 0) to last (part 1)."""
    weight = 0.5 * (1.0 + cos_pi(min(part, 1.0)))
    return weight * first + (1.0 - weight) * last


@dataclass(frozen=True)
class Cosine(Constant):
    """Half a cosine wave from the learning rate down to `final`, which is kept from then on.

    final + (learning_rate - final) (1 + cos(pi step / total_steps)) / 2: Loshchilov and Hutter,
    "SGDR" (2017), without its restarts; torch.optim's CosineAnnealingLR goes up again after
    total_steps.

    Parameters
    ----------
    learning_rate : float
    total_steps : int
        Steps until `final` is reached.
    final : float, default 0.0
        At least 0.
    """

    total_steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_count(self, "total_steps", at_least=1)
        keep_number(self, "final", at_least=0.0)

    def __call__(self, step: int) -> float:
        """Return the learning rate of the update that follows `step` others."""
        return _between(self.learning_rate, self.final, step / self.total_steps)


@dataclass(frozen=True)
class OneCycle(Constant):
    """Up to the learning rate and down to almost nothing, by half cosine waves.

    Smith and Topin, "Super-convergence" (2018), in fastai's form of two phases, as torch.optim's
    OneCycleLR has it: from learning_rate / start_divisor up in the first `rising` part of the
    steps, then down to the start's rate / final_divisor at the last step.  The momentum is not
    cycled, where torch.optim does so by default.

    Parameters
    ----------
    learning_rate : float
        The largest rate.
    total_steps : int
        All steps of the training, at least 2; later ones keep the final rate.
    rising : float, default 0.3
        Which part of the steps goes up, at least 0 and below 1.
    start_divisor : float, default 25.0
    final_divisor : float, default 10000.0
        At least 1.
    """

    total_steps: int
    rising: float = 0.3
    start_divisor: float = 25.0
    final_divisor: float = 1e4

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_count(self, "total_steps", at_least=2)
        keep_number(self, "rising", at_least=0.0, below=1.0)
        keep_number(self, "start_divisor", at_least=1.0)
        keep_number(self, "final_divisor", at_least=1.0)

    def __call__(self, step: int) -> float:
        """Return the learning rate of the update that follows `step` others."""
        start = self.learning_rate / self.start_divisor
        top, last = self.rising * self.total_steps - 1.0, self.total_steps - 1.0
        if step < top:
            return _between(start, self.learning_rate, step / top)
        # With next to no rising part the top would lie before step 0.
        top = max(top, 0.0)
        return _between(self.learning_rate, start / self.final_divisor, (step - top) / (last - top))
