"""From a configuration to a finished run: the one place that wires data, model, service and trainer."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from negsift.common.data.bags_digest import split_digests
from negsift.common.data.catalogue import load_split
from negsift.common.data.config import DataConfig
from negsift.common.data.split import Split
from negsift.common.data.table.table_set import TableSet
from negsift.common.errors import BadData
from negsift.common.folder_lock import sole_user
from negsift.common.models.config import ModelConfig
from negsift.common.overrides import to_dict, updated
from negsift.deploy.clips_on_ray import decoded_on_ray
from negsift.deploy.jobs.inside import is_job
from negsift.deploy.log_odds import offset_of
from negsift.deploy.models import model_for
from negsift.deploy.origin import negatives, origin
from negsift.deploy.pinned import pinned
from negsift.deploy.positives import positive_sampler
from negsift.deploy.run_config import FREE, RunConfig, defaults
from negsift.deploy.run_metrics import run_metrics
from negsift.deploy.same_data import record_data, require_same_data, require_unchanged
from negsift.deploy.versions import versions
from negsift.deploy.workers import trained, trainer_room
from negsift.service.config import FleetConfig
from negsift.service.sampler import NegativeSampler
from negsift.service.strategies import make_strategy
from negsift.trainer.augment import require_augmentable
from negsift.trainer.folder import Json, RunFolder
from negsift.trainer.loggers.logger import Logger
from negsift.trainer.loggers.make import make_loggers
from negsift.trainer.report import ReportedRun
from negsift.trainer.run_spec import RunSpec, TrainerConfig

if TYPE_CHECKING:
    from negsift.service.cluster.reservation import Reservation

log = logging.getLogger(__name__)
Shared = tuple[DataConfig, ModelConfig, FleetConfig]
"""What runs that use the same shards have in common."""


@dataclass
class Runner:
    """Runs one configuration after another; those with the same data, model and fleet share data and shards."""

    _splits: dict[DataConfig, Split] = field(default_factory=dict)
    _digests: dict[DataConfig, dict[str, str]] = field(default_factory=dict)
    _samplers: dict[Shared, NegativeSampler] = field(default_factory=dict)
    _adopted: frozenset[Shared] = frozenset()

    def run(self, config: RunConfig, out: Path, loggers: tuple[Logger, ...] = ()) -> Json:
        """Train to the end in the folder `out`, or go on there, and return the summary.

        The numbers also go to `loggers`, after those that the configuration names.
        """
        folder, named = RunFolder(out), config.model.name
        config = pinned(config, folder)
        if config.model.name != named:
            log.info("model.name=%s, the usual one of the bags in %s", config.model.name, config.data.root)
        folder.check(to_dict(config), FREE, defaults())
        summary = folder.summary
        if summary is not None:
            require_unchanged(folder, config.data, lambda: self.digests(config.data))
            log.info("%s is finished already", out)
            return summary
        with trainer_room(config.training.workers, config.fleet) as room:
            return self._run(config, folder, room, loggers)

    def _run(
        self, config: RunConfig, folder: RunFolder, room: "Reservation | None", loggers: tuple[Logger, ...]
    ) -> Json:
        fleet, out = config.fleet if room is None else replace(config.fleet, kind="ray"), folder.path
        with decoded_on_ray(fleet):
            split = self.split(config.data)
        require_same_data(folder, config.data, lambda: self.digests(config.data))
        sampler = self.sampler(replace(config, fleet=fleet), split)
        config = replace(config, fleet=replace(config.fleet, block=sampler.block))
        if is_job() or room is not None:
            from negsift.service.cluster.shared_folder import require_shared  # imported here: others need no Ray

            require_shared(out, "--out")
        model, facts = model_for(split.pool, config.model, config.seed), _facts(config, split)
        require_augmentable(split.positives, config.augment)
        folder.claim(to_dict(config), FREE, defaults())  # only now is all of it known to be usable
        record_data(folder, config.data, lambda: self.digests(config.data))
        loggers = (*make_loggers(config.log, folder, to_dict(config)), *run_metrics(config, folder), *loggers)
        chooser = positive_sampler(config, split, model)
        made_of = origin(config, split, self.digests(config.data))
        spec = RunSpec(split, model, sampler, folder, facts, loggers, made_of, chooser, offset_of(config))
        trainer = TrainerConfig(config.training, config.sampling, config.augment)
        with sole_user(out), sampler:
            return trained(spec, trainer, config.seed, room, config.fleet.start_s)

    def split(self, config: DataConfig) -> Split:
        """The bags, loaded once."""
        if config not in self._splits:
            split = self._splits[config] = load_split(config)
            log.info("%s, %s", config.name, split.line)
            if split.dropped:
                log.info("%d left out, all listed in the report; the first: %s", len(split.dropped), split.dropped[0])
        return self._splits[config]

    def digests(self, config: DataConfig) -> dict[str, str]:
        """What identifies the bags of each part, wherever they lie; computed once."""
        if config not in self._digests:
            self._digests[config] = split_digests(self.split(config))
        return self._digests[config]

    def bags_of(self, run: ReportedRun) -> Split:
        """The bags a run was made with, for the pictures of its report; raises BadData if they are gone."""
        stored = run.config.get("data")
        if not isinstance(stored, Mapping):
            raise BadData(f"no data in {run.path / 'config.json'}", "the configuration of a run", "repair it")
        config = updated(DataConfig(), stored)
        return self._splits.get(config) or load_split(config)

    def share(self, config: RunConfig) -> NegativeSampler:
        """A sampler that can be sent to other processes, whose runners `adopt` it; its fleet is on Ray."""
        return self.sampler(config, self.split(config.data)).sibling("random", k=1)

    def adopt(self, samplers: Mapping[Shared, NegativeSampler]) -> None:
        """Use the shards of samplers that another process has shared."""
        self._samplers |= samplers
        self._adopted |= samplers.keys()

    def keep_only(self, config: RunConfig) -> None:
        """Let go of the bags and shards of other configurations, but for adopted ones: a long sweep does not grow."""
        for shared in self._samplers.keys() - self._adopted - {(config.data, config.model, config.fleet)}:
            self._samplers.pop(shared).close()
        self._splits = {data: split for data, split in self._splits.items() if data == config.data}
        self._digests = {data: digests for data, digests in self._digests.items() if data == config.data}

    def sampler(self, config: RunConfig, split: Split) -> NegativeSampler:
        """A sampler for the configuration, whose shards end with this runner."""
        strategy, policy, k = make_strategy(config.strategy), config.sampling.policy, negatives(config, split)
        shared = (config.data, config.model, config.fleet)
        if shared not in self._samplers:
            pool = split.pool.tables[0] if isinstance(split.pool, TableSet) else split.pool  # which shards stream
            self._samplers[shared] = NegativeSampler(
                pool, model_for(split.pool, config.model, config.seed), strategy=strategy, positives=split.positives,
                k=k, seed=config.seed, policy=policy, options=config.fleet,
            )  # fmt: skip
        return self._samplers[shared].sibling(strategy, k=k, seed=config.seed, policy=policy)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        for sampler in self._samplers.values():
            sampler.close(finish=kind is None)


def _facts(config: RunConfig, split: Split) -> Json:
    return {
        "recipe": config.recipe, "strategy": config.strategy.name, "target": config.data.target,
        "seed": config.seed, "workers": config.training.workers, "dropped_instances": split.dropped,
        "versions": versions(),
    }  # fmt: skip
