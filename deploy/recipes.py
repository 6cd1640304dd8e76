"""Recipes: functions that return a run's whole configuration. Derive one by changing fields of another."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from common.config import knob
from common.data.split import DataConfig
from common.errors import UnknownName
from common.models.encoders import ModelConfig
from service.setup import FleetConfig
from service.strategies import StrategyConfig
from trainer.config import SamplingConfig, TrainingConfig


@dataclass(frozen=True)
class RunConfig:
    """Everything a run depends on."""

    recipe: str
    seed: int = knob(0, "seed of weights, order and random picks; the bags have data.bag_seed")
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    strategy: StrategyConfig = field(default_factory=StrategyConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    fleet: FleetConfig = field(default_factory=FleetConfig)


def digits() -> RunConfig:
    """Bags of handwritten digits, embedded; seconds on a laptop."""
    data = DataConfig(name="digits", target="8", bag_size=3, val_share=0.25)
    return RunConfig(
        "digits",
        data=data,
        sampling=SamplingConfig(ratio=2.0),
        training=TrainingConfig(epochs=20, batch=16, patience=20),
    )


def cifar10() -> RunConfig:
    """The paper's image bags: five CIFAR-10 images a bag, SimpleCNN; about 40 s on one core."""
    return RunConfig("cifar10", data=DataConfig(name="cifar10"))


def cifar10_resnet18() -> RunConfig:
    """The same bags with ResNet18, which the paper found to overfit."""
    return replace(cifar10(), recipe="cifar10-resnet18", model=ModelConfig(name="resnet18"))


def images() -> RunConfig:
    """Bags from your own folder of images per class, in data.root."""
    return RunConfig("images", data=DataConfig(name="images"))


RECIPES: dict[str, Callable[[], RunConfig]] = {
    "digits": digits, "cifar10": cifar10, "cifar10-resnet18": cifar10_resnet18, "images": images,
}  # fmt: skip


def recipe(name: str) -> RunConfig:
    """The configuration of the recipe called `name`; raises UnknownName."""
    if name not in RECIPES:
        raise UnknownName("recipe", name, RECIPES)
    return RECIPES[name]()
