"""Recipes: functions that return a run's whole configuration. Derive one by changing fields of another."""

import functools
import hashlib
import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from negsift.common.config import knob
from negsift.common.data.audio.config import AudioConfig
from negsift.common.data.bags import density_range
from negsift.common.data.config import CLIPS, DATASETS, READS, DataConfig
from negsift.common.errors import BadInput, UnknownName
from negsift.common.models.config import AUTO, CLIP_MODELS, MODELS, USUAL, ModelConfig
from negsift.common.overrides import flat, keys, to_dict
from negsift.service.config import FleetConfig
from negsift.service.selection.task import require_guardable
from negsift.service.strategies import STRATEGIES, StrategyConfig, make_strategy
from negsift.trainer.config import WALK, AugmentConfig, InstanceLossConfig, LogConfig, SamplingConfig, TrainingConfig
from negsift.trainer.loggers.libraries import require_libraries

FREE = {key for key in keys(FleetConfig, "fleet.") if key != "fleet.block" and not key.startswith("fleet.scoring.")}
FREE |= {"name", "training.workers", "training.keep_weights", *keys(LogConfig, "log.")}
"""Keys that may change when a run is resumed: its name, where scoring and training happen, what is kept and logged."""


@dataclass(frozen=True)
class RunConfig:
    """Everything a run depends on."""

    recipe: str
    name: str = knob("", "what reports call the run; empty: by its strategy and what else distinguishes it")
    seed: int = knob(0, "seed of weights, order and random picks; the bags have data.bag_seed")
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    strategy: StrategyConfig = field(default_factory=StrategyConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    fleet: FleetConfig = field(default_factory=FleetConfig)
    log: LogConfig = field(default_factory=LogConfig)


def check_fit(config: RunConfig) -> None:
    """Raise BadInput if dataset, density, model, strategy's options, guards and augmentation don't fit.

    A table is checked when it is opened.
    """
    if config.data.name not in DATASETS:
        raise UnknownName("dataset", config.data.name, DATASETS)
    clips = config.data.name in CLIPS
    models = CLIP_MODELS if clips else MODELS
    if config.model.name not in models and config.data.name != "table":
        raise UnknownName("model for clips" if clips else "model", config.model.name, models)
    if config.data.reads("density") and config.data.density != "natural":
        density_range(config.data.density, config.data.bag_size)
    # That its options are its own, and guards fit it, is known before any data is read.
    require_guardable(make_strategy(config.strategy), config.sampling)
    _require_positives_by(config.sampling)
    _require_name(config)
    if config.model.init != "torch" and clips:
        raise BadInput(f"model.init={config.model.init} with {config.data.name}", "torch", "leave model.init alone")
    if config.augment.of_clips and not clips:
        raise BadInput(f"augmentation of {config.data.name}", "clips", "leave augment alone, but for flip and shift")
    if config.augment.of_images and clips:
        raise BadInput(f"augment.flip or .shift with {config.data.name}", "images", "leave both alone")
    require_libraries(config.log)


def _require_name(config: RunConfig) -> None:
    """Raise BadInput unless a run's name fits in a line of a table and is not that of another strategy."""
    name = config.name
    if len(name) > 100 or not name.isprintable() or set(name) & set("|`<>"):
        raise BadInput(f"name={name[:40]!r}", "at most 100 printable characters without | ` < >", "choose another name")
    if name in STRATEGIES and name != config.strategy.name:
        raise BadInput(f"name={name} of a run of {config.strategy.name}", "no other strategy's name", "choose another")


def _require_positives_by(sampling: SamplingConfig) -> None:
    """Raise BadInput unless positives are chosen in turn, or so many by a strategy that needs no other bags."""
    name = sampling.positives_by
    if name == WALK:
        return
    if name not in STRATEGIES:
        raise UnknownName("sampling.positives_by", name, STRATEGIES)
    if STRATEGIES[name].learns_from_positives or name == "full":
        raise BadInput(f"sampling.positives_by={name}", "a strategy that looks at each bag alone", "choose another")
    if not sampling.positives:
        raise BadInput(f"sampling.positives_by={name} of all positives", "a number", "set sampling.positives")


def check_given(configs: Collection[RunConfig], settings: Iterable[str]) -> None:
    """Raise BadInput for a setting that was given although none of the runs reads it."""
    for key in (setting.partition("=")[0].strip() for setting in settings):
        room, _, field = key.partition(".")
        if room == "data" and not any(config.data.reads(field.partition(".")[0]) for config in configs):
            names = " or ".join(sorted({config.data.name for config in configs}))
            readers = ", ".join(name for name in DATASETS if field.partition(".")[0] in READS.get(name, ()))
            raise BadInput(f"{key} with {names}", f"a setting of that dataset; {readers} read it", f"leave {key} out")


def default_folder(config: RunConfig) -> Path:
    """A folder named after the recipe, with the configuration's digest, so that the same command finds it again."""
    return Path("runs") / f"{config.recipe}-{config.strategy.name}-seed{config.seed}-{digest(config)}"


def digest(config: RunConfig) -> str:
    """A hash of the settings that change the result and differ from the defaults.

    So a setting that a later version adds leaves the hashes of earlier runs as they are.
    """
    default, values = flat(defaults()), flat(to_dict(config))
    if values["model.name"] == AUTO:
        values["model.name"] = USUAL["features"]  # as the recipe of tables said before, which folders are named after
    chosen = {key: value for key, value in values.items() if value != default[key] and key not in FREE}
    return hashlib.blake2b(json.dumps(chosen, sort_keys=True).encode(), digest_size=4).hexdigest()


@functools.cache
def defaults() -> dict[str, Any]:  # Any: JSON
    """Every setting at its default, as sections; not to be changed."""
    return to_dict(RunConfig(""))


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
    """The same clips for less of the full set's cost: positives are drawn as negatives are, and the rate falls to 0."""
    base = audio_scenes()
    return replace(
        base,
        recipe="audio-quarter",
        strategy=StrategyConfig("walk"),
        sampling=SamplingConfig(positives=48, random_rounds=0),
        training=replace(
            base.training, epochs=1000, patience=1000, budget=5_000, stratified=True, lr=3e-3, schedule="linear",
            warmup=0.05,
        ),
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
