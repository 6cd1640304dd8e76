"""On Ray, with any number of shards: the selections of one local shard, bit for bit."""

import threading
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from torch import nn

from negsift.common.data.bagset import BagSet
from negsift.common.models.bag import BagClassifier
from negsift.common.types import Selection
from negsift.service import NegativeSampler
from negsift.service.config import FleetConfig
from negsift.service.strategies import STRATEGIES

K, EPOCH, SEED, SLOW = 25, 2, 5, pytest.mark.slow
pytestmark = pytest.mark.usefixtures("local_ray")


def assert_same(one: Selection, other: Selection) -> None:
    np.testing.assert_array_equal(one.index, other.index)
    np.testing.assert_array_equal(one.score, other.score)
    np.testing.assert_array_equal(one.weight, other.weight)
    assert one.version == other.version


@pytest.fixture(scope="module", params=[3, *(pytest.param(shards, marks=SLOW) for shards in (1, 2, 7, 16))])
def sampler(
    request: pytest.FixtureRequest, bags: tuple[BagSet, BagSet], model: BagClassifier
) -> Iterator[NegativeSampler]:
    apart = FleetConfig(held_mb=0)  # points stay on their shards; locally they were gathered
    given = {"k": K, "shards": request.param, "positives": bags[1], "fleet": "ray", "options": apart}
    with NegativeSampler(bags[0], model, **given) as sampler:
        yield sampler


@pytest.mark.parametrize("name", STRATEGIES)
def test_picks_on_any_number_of_ray_shards_are_the_local_ones(
    name: str, sampler: NegativeSampler, model: BagClassifier, locally: dict[str, Selection]
) -> None:
    other = sampler.sibling(name, k=None if name == "full" else K, seed=SEED)
    assert_same(other.select(model.state_dict(), EPOCH), locally[name])


def test_views_of_one_tensor_are_picked_from_as_the_tensor_is() -> None:
    torch.manual_seed(0)
    bags, model = torch.randn(3000, 3, 40), nn.Sequential(nn.Flatten(), nn.Linear(120, 2))
    weights, given = model.state_dict(), {"strategy": "entropy", "k": K, "shards": 2}
    with NegativeSampler(bags, model, fleet="local", **given) as here:
        expected = here.select(weights, EPOCH)
    views = [(bag, number) for number, bag in enumerate(bags)]  # each would be sent with all of the tensor
    with NegativeSampler(views, model, fleet="ray", **given) as there:
        assert_same(there.select(weights, EPOCH), expected)


class Locked(nn.Module):
    """Can't be copied, has state that is no tensor, and takes two arguments; its head reads padded instances."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.lock, self.scale = nn.Linear(8, 2), threading.Lock(), 1.0

    def get_extra_state(self) -> dict[str, float]:
        return {"scale": self.scale}

    def set_extra_state(self, state: dict[str, float]) -> None:
        self.scale = state["scale"]

    def forward(self, bags: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        with self.lock:
            logits = self.fc(bags * self.scale) * mask[..., None]
        return logits.sum(1) / mask.sum(1, keepdim=True)


def padded(items: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    mask = [torch.ones(len(bag)) for bag in items]
    bags, masks = (nn.utils.rnn.pad_sequence(list(part), batch_first=True) for part in (items, mask))
    return {"bags": bags, "mask": masks}


def test_a_function_makes_the_model_on_ray_and_its_extra_state_travels() -> None:
    torch.manual_seed(0)
    bags, model = [torch.randn(1 + bag % 4, 8) for bag in range(300)], Locked()
    given = {"strategy": "badge", "k": K, "shards": 1, "collate": padded}
    with NegativeSampler(bags, lambda: Locked(), fleet="local", **given) as here:
        expected = here.select(model.state_dict(), EPOCH)
        model.scale = 50.0
        scaled = here.select(model.state_dict(), EPOCH)
    assert expected.index.tolist() != scaled.index.tolist()
    with NegativeSampler(bags, lambda: Locked(), fleet="ray", **given) as there:
        assert_same(there.select(model.state_dict(), EPOCH), scaled)
