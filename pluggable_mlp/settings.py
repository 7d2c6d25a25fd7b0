"""The settings of one training run: everything but where it runs.

The command line makes them, `config.json` keeps them; the same settings, data and seed describe
the same computation on every backend.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any

from pluggable_mlp.arithmetic import ARITHMETICS
from pluggable_mlp.names import choose
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.training.optimizers import OPTIMIZERS, Optimizer

__all__ = ["Settings"]

_WHOLE_NUMBERS = {"batch_size": 1, "epochs": 1, "seed": 0}


@dataclass(frozen=True)
class Settings:
    """What is trained, on what, and how; see the command line's help for each.

    Raises
    ------
    ValueError
        If a value is out of range or a name unknown: the message names it.
    """

    data: str = "digits"
    hidden: tuple[int, ...] = (100,)
    activation: str = "sigmoid"
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    batch_size: int = 16
    epochs: int = 30
    dtype: str = "float32"
    arithmetic: str = "native"
    seed: int = 0

    def __post_init__(self) -> None:
        choose(ARITHMETICS, self.arithmetic, "arithmetic")
        choose({"float32": 0, "float64": 0}, self.dtype, "dtype")
        for name, least in _WHOLE_NUMBERS.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < least or value >= 2**64:
                raise ValueError(f"{name} is {value!r}, expected an integer of at least {least}")
        self.make_optimizer()
        self.make_mlp(1, 2)

    def make_mlp(self, features: int, classes: int) -> MLP:
        """Return the network for so many input features and classes."""
        return MLP([features, *self.hidden, classes], activation=self.activation)

    def make_optimizer(self) -> Optimizer:
        """Return the optimizer."""
        return choose(OPTIMIZERS, self.optimizer, "optimizer")(self.learning_rate)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON knows them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Settings":
        """Return the settings that `to_dict` wrote.

        Raises
        ------
        ValueError
            If one is missing, unknown or out of range.
        """
        expected = {field.name for field in fields(cls)}
        if set(values) != expected:
            wrong = sorted(set(values) ^ expected)
            raise ValueError(f"settings are missing or unknown: {', '.join(wrong)}")
        return cls(**{**values, "hidden": tuple(values["hidden"])})
