"""Whether the settings of a run fit each other, before any data is read."""

from collections.abc import Collection, Iterable

from negsift.common.data.bags import density_range
from negsift.common.data.config import CLIPS, DATASETS, READS
from negsift.common.errors import BadInput, UnknownName
from negsift.common.models.config import CLIP_MODELS, MODELS
from negsift.deploy.log_odds import offset_of
from negsift.deploy.run_config import RunConfig
from negsift.service.selection.task import require_guardable
from negsift.service.strategies import STRATEGIES, make_strategy
from negsift.trainer.config import WALK, SamplingConfig
from negsift.trainer.loggers.libraries import require_libraries


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
    offset_of(config)
    _require_name(config)
    if config.model.init != "torch" and clips:
        raise BadInput(f"model.init={config.model.init} with {config.data.name}", "torch", "leave model.init alone")
    if config.augment.of_clips and not clips:
        raise BadInput(f"augmentation of {config.data.name}", "clips", "leave augment alone, but for flip and shift")
    if config.augment.of_images and clips:
        raise BadInput(f"augment.flip or .shift with {config.data.name}", "images", "leave both alone")
    require_libraries(config.log)


def _require_name(config: RunConfig) -> None:
    """Raise BadInput unless a run's name fits in a line and is not that of another strategy."""
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
