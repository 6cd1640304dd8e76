"""Makes the scorers of one service on Ray: under which names, with which resources, and where."""

import logging
import re
import uuid
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

from negsift.service.cluster.gpu_bundles import bundle_of, release, reserve_spread
from negsift.service.cluster.scorer import Scorer

log = logging.getLogger(__name__)

ScorerHandle = Any  # Any: an actor handle, whose methods Ray's types don't show


@dataclass(frozen=True)
class ScorerFactory:
    """Makes scorers with `resources` (CPUs, GPUs) each, all in `group` if there is one; `tag` tells services apart.

    Scorers with a part of a GPU are each in a bundle of their own, outside of a group. Metrics say `service`, or the
    tag where there is none.
    """

    resources: tuple[float, float]
    tag: str
    group: PlacementGroup | None = None
    service: str = ""

    def start(self, shards: int) -> list[ScorerHandle]:
        """One scorer a shard where there is room, spread over the nodes, and over their GPUs."""
        names = [self._name(number) for number in range(shards)]
        if self._in_bundles:
            if self.service:  # which was killed, and has left its earlier ones
                release(re.compile(rf"scorer-\d+-{re.escape(self.service)}-\w+"))
            reserve_spread(names, self.resources)
        return [self._start(number, name) for number, name in enumerate(names)]

    def find(self, number: int) -> ScorerHandle:
        """The scorer of that number that was started, or another one if it is gone for good."""
        try:
            return ray.get_actor(self._name(number))
        except ValueError:  # it had moved, and the scorer in its place ended with the coordinator that made it
            log.info("scorer-%d is replaced", number)
            name, scorer = self.another(number)
            self.release_others(number, name)
            return scorer

    def another(self, number: int, node: str | None = None) -> tuple[str, ScorerHandle]:
        """Another scorer of that number, and its name; on `node`, or elsewhere if that is gone by then."""
        name = f"{self._name(number)}_{uuid.uuid4().hex[:4]}"
        return name, self._start(number, name, node)

    def release(self, name: str) -> None:
        """Give back what is kept for the scorer of that name, which has ended."""
        self._release(re.escape(name))

    def release_others(self, number: int, name: str) -> None:
        """Give back what is kept for scorers of that number, but for the one of that name."""
        self._release(rf"(?!{re.escape(name)}$){re.escape(self._name(number))}(_\w+)?")

    def release_all(self) -> None:
        """Give back what is kept for all scorers, which have ended."""
        self._release(rf"scorer-\d+-{re.escape(self.tag)}(_\w+)?")

    def _release(self, names: str) -> None:
        if self._in_bundles:
            release(re.compile(names))

    @property
    def _in_bundles(self) -> bool:
        return self.group is None and 0 < self.resources[1] < 1

    def _name(self, number: int) -> str:
        return f"scorer-{number}-{self.tag}"

    def _start(self, number: int, name: str, node: str | None = None) -> ScorerHandle:
        cpus, gpus = self.resources
        actor = ray.remote(Scorer).options(
            name=name, num_cpus=cpus, num_gpus=gpus, max_restarts=-1, max_task_retries=0,
            scheduling_strategy=self._scheduling(name, node),
        )  # fmt: skip
        return actor.remote(number, cpus, self.service or self.tag, gpus)

    def _scheduling(
        self, name: str, node: str | None
    ) -> str | NodeAffinitySchedulingStrategy | PlacementGroupSchedulingStrategy:
        if self.group is not None:
            return PlacementGroupSchedulingStrategy(self.group)
        if self._in_bundles:
            return PlacementGroupSchedulingStrategy(bundle_of(name, self.resources, node))
        return "SPREAD" if node is None else NodeAffinitySchedulingStrategy(node, soft=True)
