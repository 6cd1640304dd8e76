"""Errors on Ray are raised at once and unchanged, and nothing hangs."""

import sys

import pytest
import torch
from ray import cloudpickle
from ray._private import worker
from torch import Tensor, nn

from negsift.common.errors import BadData, BadInput, BadWeights, ServiceError
from negsift.service import NegativeSampler
from negsift.service.cluster.resources import scorer_resources, shard_count
from negsift.service.cluster.watching import places
from negsift.service.config import FleetConfig
from tests.cluster.serving import all_cpus_taken

cloudpickle.register_pickle_by_value(sys.modules[__name__])
POOL = [torch.ones(5, 4) * position for position in range(30)]


class Fine(nn.Module):
    """A user's network that takes equal bags."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 2)

    def forward(self, bags: Tensor) -> Tensor:
        answer: Tensor = self.head(bags).mean(1)
        return answer


@pytest.mark.parametrize(
    ("have", "config", "shards", "expected"),
    [
        ({"CPU": 4.0}, FleetConfig(), 2, (1.0, 0.0)),
        ({"CPU": 4.0}, FleetConfig(), 16, (0.25, 0.0)),
        ({"CPU": 8.0, "GPU": 2.0}, FleetConfig(), 4, (1.0, 0.5)),
        ({"CPU": 8.0, "GPU": 8.0}, FleetConfig(), 4, (1.0, 1.0)),
        ({"CPU": 8.0, "GPU": 2.0}, FleetConfig(gpus_per_shard=0.25, cpus_per_shard=2.0), 4, (2.0, 0.25)),
    ],
)
def test_scorers_share_what_the_cluster_has(
    have: dict[str, float], config: FleetConfig, shards: int, expected: tuple[float, float]
) -> None:
    assert scorer_resources(have, config, shards) == expected


@pytest.mark.parametrize(
    ("nodes", "config", "shards", "cpus"),
    [
        ([{"CPU": 2.0}, {"CPU": 1.0, "GPU": 4.0}], FleetConfig(), 4, 0.25),
        ([{"CPU": 2.0}, {"CPU": 1.0, "GPU": 4.0}], FleetConfig(gpus_per_shard=0.5), 8, 0.125),
        ([{"CPU": 8.0, "GPU": 1.0}, {"CPU": 1.0, "GPU": 2.0}], FleetConfig(), 3, 0.5),
        ([{"CPU": 2.0}, {"GPU": 2.0}], FleetConfig(), 2, 0.0),
        ([{"CPU": 2.0}, {"CPU": 1.0, "GPU": 4.0}], FleetConfig(cpus_per_shard=0.2), 4, 0.2),
        ([{"CPU": 4.0}, {"CPU": 2.0}], FleetConfig(), 6, 1.0),
    ],
)
def test_gpu_scorers_fit_each_node_that_has_gpus(
    nodes: list[dict[str, float]], config: FleetConfig, shards: int, cpus: float
) -> None:
    have = {kind: sum(node.get(kind, 0.0) for node in nodes) for kind in ("CPU", "GPU")}
    assert scorer_resources(have, config, shards, nodes)[0] == cpus


def test_a_gpu_asked_for_where_there_is_none_is_reported() -> None:
    with pytest.raises(BadInput, match="2 scorers of 1 GPU each on a cluster with 0.*gpus_per_shard"):
        scorer_resources({"CPU": 4.0}, FleetConfig(gpus_per_shard=1.0), 2)


@pytest.mark.usefixtures("local_ray")
def test_the_list_for_prometheus_is_in_the_folder_of_the_head() -> None:
    folder = worker._global_node.get_temp_dir_path()
    assert places()["for Prometheus"] == f"prom_metrics_service_discovery.json in {folder} of the head"


class Faulty(Fine):
    """A model with a bug in it."""

    def forward(self, bags: Tensor) -> Tensor:
        raise KeyError("a bug of the user's")


@pytest.mark.usefixtures("local_ray")
def test_a_round_under_way_is_finished_when_the_sampler_closes() -> None:
    model = Fine()
    with NegativeSampler(POOL, model, strategy="entropy", k=5, shards=1, fleet="ray") as sampler:
        pending = sampler.submit(model.state_dict(), 0)
    assert len(pending.result().index) == 5


@pytest.mark.usefixtures("local_ray")
def test_an_exception_of_the_model_propagates_unchanged() -> None:
    model = Faulty()
    with (
        NegativeSampler(POOL, model, strategy="entropy", k=5, shards=1, fleet="ray") as sampler,
        pytest.raises(KeyError, match="a bug of the user's"),
    ):
        sampler.select(model.state_dict(), 0)


@pytest.mark.usefixtures("local_ray")
def test_bad_weights_and_bags_give_the_errors_of_local_shards() -> None:
    model = Fine()
    with NegativeSampler([*POOL, torch.ones(3, 4)], model, strategy="entropy", k=5, shards=1, fleet="ray") as sampler:
        with pytest.raises(BadWeights, match="'head.weight'"):
            sampler.select({"head.bias": torch.zeros(2)}, 0)
        with pytest.raises(BadData, match=r"item 30 of shape \(3, 4\)"):
            sampler.select(model.state_dict(), 0)


@pytest.mark.usefixtures("local_ray")
def test_scorers_without_room_are_reported_and_do_not_hang() -> None:
    hasty = FleetConfig(cpus_per_shard=1.0, start_s=3.0)
    with (
        all_cpus_taken(),
        pytest.raises(ServiceError, match="1 of 1 scorers not started within 3 s; the cluster has 0 CPU"),
    ):
        NegativeSampler(POOL, Fine(), k=5, shards=1, fleet="ray", options=hasty)


@pytest.mark.parametrize(
    ("have", "shards", "expected"),
    [
        ({"CPU": 4.0}, None, 4), ({"CPU": 8.0, "GPU": 2.0}, None, 2), ({"CPU": 0.0}, None, 1), ({}, None, 1),
        ({"CPU": 8.0, "GPU": 2.0}, 5, 5),
    ],
)  # fmt: skip
def test_shards_are_one_for_each_core_or_gpu_by_default(
    have: dict[str, float], shards: int | None, expected: int
) -> None:
    assert shard_count(have, FleetConfig(shards=shards)) == expected
