"""`attach`: a sampler on a service that another program started, as `negsift serve up` does."""

from torch import nn

from negsift.common.models.embedder import as_embedder
from negsift.common.round_policy import RoundPolicy
from negsift.service.arguments import resolve_policy, resolve_strategy
from negsift.service.sampler import NegativeSampler
from negsift.service.selection.task import Task
from negsift.service.strategies.base import Strategy


def attach(
    name: str,
    model: nn.Module,
    *,
    target_label: str | None = None,
    strategy: str | Strategy = "random",
    k: int | None = None,
    seed: int = 0,
    head: str | None = None,
    outputs: str | None = None,
    target: int = 1,
    policy: RoundPolicy | None = None,
    task: str = "",
) -> NegativeSampler:
    """A NegativeSampler whose rounds are run by the service called `name`, on the cluster in RAY_ADDRESS.

    The arguments are NegativeSampler's; `task` is this run's name in the service. Weights stay this program's own.
    Closing the sampler leaves the service as it was. Raises BadInput where there is no such service.
    """
    from negsift.service.serving.client import AttachedService  # imported here: a local fleet needs no Ray

    choice = Task(resolve_strategy(strategy), k, seed, target, resolve_policy(policy, RoundPolicy()))
    return AttachedService(name, as_embedder(model, head, outputs), target_label, task).sampler(choice, outputs)
