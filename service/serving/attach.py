"""`attach`: a sampler on a service that another program started, as `python -m deploy serve up` does."""

from typing import TYPE_CHECKING

from torch import nn

from negsift.common.types import Round
from negsift.service.arguments import require_whole, resolve_strategy
from negsift.service.selection.coordinator import Task
from negsift.service.selection.round_scope import Scope
from negsift.service.strategies.base import Strategy

if TYPE_CHECKING:
    from negsift.service.sampler import NegativeSampler


def attach(
    name: str,
    model: nn.Module,
    *,
    target_label: str | None = None,
    strategy: str | Strategy = "random",
    k: int | None = None,
    seed: int = 0,
    head: str | None = None,
    random_rounds: int = 0,
    staleness: int | None = None,
    target: int = 1,
    candidates: int | None = None,
    rescore: int | None = None,
    every: int = 1,
    task: str = "",
) -> "NegativeSampler":
    """A NegativeSampler whose rounds are run by the service called `name`, on the cluster in RAY_ADDRESS.

    Its arguments mean what they mean there; `task` is what the service calls this run. Weights stay this
    program's own. Closing it leaves the service as it was. Raises BadInput where there is no such service.
    """
    from negsift.service.serving.client import (  # imported here: a local fleet needs no Ray
        AttachedService,
        open_attached,
    )

    require_whole("seed", seed)
    service = AttachedService(name, model, head, target_label, task)
    wanted = Task(resolve_strategy(strategy), random_rounds, staleness, Scope(candidates, rescore, every))
    return open_attached(service, wanted, Round("", 0, seed, -1 if k is None else k, target))
