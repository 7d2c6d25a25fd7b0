"""Published recipes of networks for tables: which network, optimizer and loop each consists of.

How a table becomes a matrix belongs in `data/`, which scales features as a recipe's `scaling` says.
A recipe knows the numbers of its authors; what their parts compute is in `network/`, `training/`.
"""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

from pluggable_mlp.network.categories import Categories
from pluggable_mlp.network.embeddings import Periodic, PiecewiseLinear
from pluggable_mlp.network.losses import SoftmaxCrossEntropy, SquaredError
from pluggable_mlp.network.members import TabM, TabMMini
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.registry import Component, PositiveCount
from pluggable_mlp.training.decay import DecayFactors
from pluggable_mlp.training.optimizer import Optimizer
from pluggable_mlp.training.optimizers import Adam, AdamW
from pluggable_mlp.training.schedules import FlatCosine, LogCosine
from pluggable_mlp.training.transforms import ClipByGlobalNorm, RateFactors

__all__ = [
    "RECIPES",
    "RealMLP",
    "RealMLPWhole",
    "Recipe",
    "TabMMiniRecipe",
    "TabMRecipe",
    "TableForm",
]


class TableForm(NamedTuple):
    """What a network has to know of a table.

    Parameters
    ----------
    blocks : tuple of int
        How many features each column has become; the numbers come first, and those that a recipe
        embeds last.
    outputs : int
    classifies : bool
        Whether the outputs are classes, or else numbers.
    edges : tuple of tuple of float
        The edges of the bins of each number; empty for recipes without `bins`.
    numbers : int
        How many blocks are numbers.
    categories : tuple of int
        The blocks that a recipe embeds; empty for recipes without `embedded`.
    target_range : tuple of float, optional
        The least and the largest target of a regression, scaled.
    """

    blocks: tuple[int, ...]
    outputs: int
    classifies: bool
    edges: tuple[tuple[float, ...], ...] = ()
    numbers: int = 0
    categories: tuple[int, ...] = ()
    target_range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Recipe(Component):
    """Base of recipes.

    Attributes
    ----------
    epochs : int
        The most epochs.
    batch_size : int
        Of tables with fewer rows all are a batch.  A smaller last batch of an epoch is left out.
    patience : int or None
        After so many epochs without improvement training ends; None: never.
    last_best : bool
        Whether of epochs with the same error the last is kept, or else the first.
    scaling : str
        Of the features.
    bins : int
        Of each number, for an embedding; 0 for none.
    embedded : int or None
        Columns of so many categories or more have an embedding.
    on_rows : bool
        Whether the initial parameters follow from the rows: see `initialized_on_rows`.
    """

    epochs: ClassVar[int] = 256
    batch_size: ClassVar[int] = 256
    patience: ClassVar[int | None] = None
    last_best: ClassVar[bool] = True
    scaling: ClassVar[str]
    bins: ClassVar[int] = 0
    embedded: ClassVar[int | None] = None
    on_rows: ClassVar[bool] = False

    @abstractmethod
    def network(self, form: TableForm) -> MLP:
        """Return the network for a table."""

    def scheduled(self, mlp: MLP, total_steps: int) -> MLP:
        """Return the network for a training of so many steps: by default the same."""
        del total_steps
        return mlp

    @abstractmethod
    def optimizer(self, form: TableForm, total_steps: int) -> Optimizer:
        """Return the optimizer of a training of so many steps."""


@dataclass(frozen=True)
class RealMLP(Recipe):
    """RealMLP-TD-S: the simplified network of tuned defaults.

    Holzmüller, Grinsztajn, Steinwart, "Better by default" (NeurIPS 2024).
    """

    scaling: ClassVar[str] = "smooth_clip"

    def network(self, form: TableForm) -> MLP:
        """Return three hidden layers of 256 in NTK parametrization, after a scaling of inputs."""
        return MLP(
            [sum(form.blocks), 256, 256, 256, form.outputs],
            activation="selu" if form.classifies else "mish",
            loss=SoftmaxCrossEntropy(label_smoothing=0.1) if form.classifies else SquaredError(),
            initializer="standard_normal",
            output_initializer="zeros",
            parametrization="ntk",
            input_scaling=True,
        )

    def optimizer(self, form: TableForm, total_steps: int) -> Optimizer:
        """Return Adam, with factors of its rate for the scaling and the biases."""
        rate = 0.04 if form.classifies else 0.07
        adam = Adam(LogCosine(rate, total_steps=total_steps), beta2=0.95)
        return RateFactors(adam, {"scale": 6.0, "b": 0.1})


@dataclass(frozen=True)
class RealMLPWhole(RealMLP):
    """RealMLP-TD: the network of tuned defaults.

    As the package pytabkit has it, whose one-hot limit of 9 counts missing as a category, and whose
    weight decay is multiplied by the factors of the learning rates twice.
    """

    embedded: ClassVar[int | None] = 9
    on_rows: ClassVar[bool] = True

    def network(self, form: TableForm) -> MLP:
        """Return that of RealMLP-TD-S with embeddings, parametric activations and dropout."""
        return MLP(
            [sum(form.blocks), 256, 256, 256, form.outputs],
            activation="selu" if form.classifies else "mish",
            loss=SoftmaxCrossEntropy(label_smoothing=0.1) if form.classifies else SquaredError(),
            initializer="standard_normal",
            parametrization="ntk",
            input_scaling=True,
            parametric_activation=True,
            embedding=Periodic(form.numbers) if form.numbers else None,
            category_embedding=Categories(form.categories) if form.categories else None,
            output_range=form.target_range,
        )

    def scheduled(self, mlp: MLP, total_steps: int) -> MLP:
        """Return the network with dropout 0.15 until half of the training, then less and less."""
        return replace(mlp, dropout=FlatCosine(0.15, total_steps=total_steps))

    def optimizer(self, form: TableForm, total_steps: int) -> Optimizer:
        """Return Adam with factors of its rate, and decay of all but the biases by schedule."""
        rate = 0.04 if form.classifies else 0.2
        adam = Adam(LogCosine(rate, total_steps=total_steps), beta2=0.95)
        waves = ("embedding_w", "embedding_b", "embedding_V", "embedding_c")
        factors = {"scale": 6.0, "a": 0.1, **dict.fromkeys(waves if form.numbers else (), 0.1)}
        whole = ("W", "category_E") if form.categories else ("W",)
        decays = dict.fromkeys(whole, 1.0) | {name: f * f for name, f in factors.items()}
        decay = FlatCosine(0.02, total_steps=total_steps)
        return DecayFactors(RateFactors(adam, {**factors, "b": 0.1}), decay, decays)


@dataclass(frozen=True)
class TabMMiniRecipe(Recipe):
    """TabM-mini with piecewise-linear embeddings.

    Gorishniy, Kotelnikov, Babenko, "TabM" (ICLR 2025), with the package's defaults.

    Parameters
    ----------
    members : int, default 32
    """

    members: PositiveCount = 32
    patience: ClassVar[int | None] = 16
    last_best: ClassVar[bool] = False
    scaling: ClassVar[str] = "quantile"
    bins: ClassVar[int] = 48
    ensemble: ClassVar[type[TabMMini]] = TabMMini

    def network(self, form: TableForm) -> MLP:
        """Return hidden layers of 512: two where numbers have embeddings, three without."""
        scaling = "normal" if form.edges else "signs"
        return MLP(
            [sum(form.blocks), *[512] * (2 if form.edges else 3), form.outputs],
            activation="relu",
            loss="softmax_cross_entropy" if form.classifies else "squared_error",
            initializer="inverse_sqrt_uniform",
            dropout=0.1,
            embedding=PiecewiseLinear(form.edges) if form.edges else None,
            ensemble=self.ensemble(self.members, scaling=scaling, blocks=form.blocks),
        )

    def optimizer(self, form: TableForm, total_steps: int) -> Optimizer:
        """Return AdamW with clipped gradients."""
        del form, total_steps
        return ClipByGlobalNorm(AdamW(2e-3, weight_decay=3e-4), 1.0)


@dataclass(frozen=True)
class TabMRecipe(TabMMiniRecipe):
    """TabM with piecewise-linear embeddings, otherwise as `TabMMiniRecipe`."""

    ensemble: ClassVar[type[TabMMini]] = TabM


RECIPES: dict[str, type[Recipe]] = {
    "realmlp-td-s": RealMLP,
    "realmlp-td": RealMLPWhole,
    "tabm-mini": TabMMiniRecipe,
    "tabm": TabMRecipe,
}
"""The recipes by name."""
