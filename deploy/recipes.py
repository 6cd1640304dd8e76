"""Recipes: functions that return a run's whole configuration. Derive one by changing fields of another."""

from collections.abc import Callable
from dataclasses import replace

from negsift.common.config import AUTO
from negsift.common.data.audio.config import AudioConfig
from negsift.common.data.config import DataConfig
from negsift.common.errors import UnknownName
from negsift.common.models.config import ModelConfig
from negsift.deploy.run_config import RunConfig
from negsift.service.config import FleetConfig
from negsift.service.strategies import StrategyConfig
from negsift.trainer.config import AugmentConfig, InstanceLossConfig, SamplingConfig, TrainingConfig


def digits() -> RunConfig:
    """Bags of handwritten digits, embedded; seconds on a laptop."""
    data = DataConfig(name="digits", target="8", bag_size=3, val_share=0.25)
    training = TrainingConfig(epochs=20, batch=16, patience=20)
    return RunConfig("digits", data=data, sampling=SamplingConfig(ratio=2.0), training=training)


def cifar10() -> RunConfig:
    """The paper's image bags: five CIFAR-10 images a bag, SimpleCNN; about 40 s on one core."""
    return RunConfig("cifar10", data=DataConfig(name="cifar10"))


def cifar10_quarter() -> RunConfig:
    """The same bags for a quarter of the full set's cost: instances learn, and positives are drawn as negatives are.

    Each step has as many positive as negative bags, all in their turn; every instance has its bag's label, and bags
    have no loss of their own; the rate falls to 0; images are mirrored and shifted.
    """
    base = cifar10()
    return replace(
        base,
        recipe="cifar10-quarter",
        model=replace(base.model, init="kaiming"),
        strategy=StrategyConfig("walk"),
        sampling=SamplingConfig(positives=750, random_rounds=0),
        training=TrainingConfig(
            epochs=100, patience=100, budget=22_500, batch=16, stratified=True, lr=3e-3, schedule="linear",
            bag_loss=0.0, instance_loss=InstanceLossConfig(positive=1.0, negative=1.0),
        ),
        augment=AugmentConfig(flip=True),
    )  # fmt: skip


def cifar10_tenth() -> RunConfig:
    """The same for a tenth of the full set's cost: hidden layers take steps of Muon."""
    base = cifar10_quarter()
    return replace(base, recipe="cifar10-tenth", training=replace(base.training, budget=10_700, optimiser="muon"))


def cifar10_resnet18() -> RunConfig:
    """The same bags with ResNet18, which the paper found to overfit."""
    return replace(cifar10(), recipe="cifar10-resnet18", model=ModelConfig(name="resnet18"))


def images() -> RunConfig:
    """Bags from your own folder of images per class, in data.root."""
    return RunConfig("images", data=DataConfig(name="images", target=""))


def audio_demo() -> RunConfig:
    """Synthesised clips, written as FLAC files on the spot; mixup and masks; a minute on a laptop."""
    audio = AudioConfig(classes="all", only_listed=False, seconds=4.0, mels=64, frames=416)
    return RunConfig(
        "audio-demo",
        data=DataConfig(name="audio-demo", target="rise", val_share=0.2, audio=audio),
        model=ModelConfig(name="small_attention"),
        training=TrainingConfig(epochs=16, batch=16, patience=16, lr=2e-3, evaluation_batch=32),
        augment=AugmentConfig(mixup=0.25, freq_mask=4, time_mask=16),
        fleet=FleetConfig(block=16),
    )


def audio_scenes() -> RunConfig:
    """Clips in AudioSet's form, in data.root, on a CPU: a small attention CNN over 64 mel bands."""
    return RunConfig(
        "audio-scenes",
        data=DataConfig(name="audioset", val_share=0.15, audio=AudioConfig(classes="all", mels=64)),
        model=ModelConfig(name="small_attention"),
        sampling=SamplingConfig(ratio=0.6),
        training=TrainingConfig(epochs=60, batch=16, patience=30, lr=2e-3, evaluation_batch=32),
        augment=AugmentConfig(mixup=0.5, freq_mask=8, time_mask=32),  # 64 would hide a whole event of half a second
        fleet=FleetConfig(block=16),
    )


def audio_quarter() -> RunConfig:
    """The same clips for a quarter of the cost of their full set in 30 epochs: positives are drawn as negatives are,
    hidden layers take steps of Muon, the rate falls to 0, and every clip is mixed with another.
    """
    base = audio_scenes()
    return replace(
        base,
        recipe="audio-quarter",
        strategy=StrategyConfig("walk"),
        sampling=SamplingConfig(positives=48, random_rounds=0),
        training=replace(
            base.training, epochs=1000, patience=1000, budget=2_550, stratified=True, optimiser="muon", lr=3e-3,
            schedule="linear", warmup=0.05,
        ),
        augment=replace(base.augment, mixup=1.0),
    )  # fmt: skip


def audioset40() -> RunConfig:
    """The paper's audio half: AudioSet40 in data.root, PSLA from random weights; for a GPU."""
    return RunConfig(
        "audioset40",
        data=DataConfig(name="audioset"),
        model=ModelConfig(name="psla"),
        sampling=SamplingConfig(ratio=0.5),
        training=TrainingConfig(
            epochs=30, weight_decay=5e-7, beta1=0.95, halve_from=10, weighted=True, mixed_precision=True,
            evaluation_batch=32,
        ),
        augment=AugmentConfig(mixup=0.5, freq_mask=48, time_mask=192),
        fleet=FleetConfig(block=32),
    )  # fmt: skip


def table() -> RunConfig:
    """A bag table made by `pool build`, in data.root: any size, streamed by its shards. The usual model of its bags."""
    return RunConfig("table", data=DataConfig(name="table", target=""), model=ModelConfig(name=AUTO))


RECIPES: dict[str, Callable[[], RunConfig]] = {
    "digits": digits, "cifar10": cifar10, "cifar10-quarter": cifar10_quarter, "cifar10-tenth": cifar10_tenth,
    "cifar10-resnet18": cifar10_resnet18, "images": images, "table": table, "audio-demo": audio_demo,
    "audio-scenes": audio_scenes, "audio-quarter": audio_quarter, "audioset40": audioset40,
}  # fmt: skip


def recipe(name: str) -> RunConfig:
    """The configuration of the recipe called `name`; raises UnknownName."""
    if name not in RECIPES:
        raise UnknownName("recipe", name, RECIPES)
    return RECIPES[name]()
