"""A constant rate, and rates that fall by a factor or a power of the step."""

from dataclasses import dataclass

from pluggable_mlp.hyperparameters import keep_count, keep_number
from pluggable_mlp.training.elementary import integer_power, real_power
from pluggable_mlp.training.schedules.contract import Schedule

__all__ = ["Constant", "Exponential", "InverseScaling", "Step"]


@dataclass(frozen=True)
class Constant(Schedule):
    """The same rate at every step: a plain number does as well.

    Parameters
    ----------
    learning_rate : float
    """

    learning_rate: float

    def __post_init__(self) -> None:
        keep_number(self, "learning_rate", at_least=0.0)

    def __call__(self, step: int) -> float:
        """Return the learning rate of the update that follows `step` others."""
        del step
        return self.learning_rate


@dataclass(frozen=True)
class Step(Constant):
    """learning_rate * factor^floor(step / every): torch.optim's StepLR.

    Parameters
    ----------
    learning_rate : float
    every : int
        After so many steps the rate is multiplied by
    factor : float, default 0.1
        (gamma elsewhere), at least 0.
    """

    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_count(self, "every", at_least=1)
        keep_number(self, "factor", at_least=0.0)

    def __call__(self, step: int) -> float:
        """Return the learning rate of the update that follows `step` others."""
        return self.learning_rate * integer_power(self.factor, step // self.every)


@dataclass(frozen=True)
class Exponential(Constant):
    """learning_rate * factor^step: torch.optim's ExponentialLR.

    The power is taken by squaring: a running product of n factors costs n, a power of the C
    library is not the same everywhere.

    Parameters
    ----------
    learning_rate : float
    factor : float, default 0.999
        (gamma elsewhere), at least 0.
    """

    factor: float = 0.999

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_number(self, "factor", at_least=0.0)

    def __call__(self, step: int) -> float:
        """Return the learning rate of the update that follows `step` others."""
        return self.learning_rate * integer_power(self.factor, step)


@dataclass(frozen=True)
class InverseScaling(Constant):
    """learning_rate / (step + 1)^power: scikit-learn's "invscaling".

    scikit-learn counts examples in place of steps.

    Parameters
    ----------
    learning_rate : float
    power : float, default 0.5
        (power_t in scikit-learn), at least 0.
    """

    power: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_number(self, "power", at_least=0.0)

    def __call__(self, step: int) -> float:
        """Return the learning rate of the update that follows `step` others."""
        return self.learning_rate * real_power(step + 1.0, -self.power)
