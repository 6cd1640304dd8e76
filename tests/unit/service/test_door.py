"""What can't be used is refused before any work is done, in one line."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pytest
import torch
from pandas import DataFrame
from scipy.sparse import csr_matrix
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from negsift.common.errors import BadInput
from negsift.common.round_policy import RoundPolicy
from negsift.service import NegativeSampler
from negsift.service.arguments import resolve_policy
from negsift.service.config import FleetConfig
from tests.unit.toys import MeanNet, vector_model, vectors

POOL = vectors([3] * 20)


class Stream(IterableDataset[Tensor]):
    """An iterable dataset that knows its length."""

    def __iter__(self) -> Iterator[Tensor]:
        return iter(POOL)

    def __len__(self) -> int:
        return 20


class Unindexed(Dataset[Tensor]):
    """A dataset whose author forgot [i]."""

    def __len__(self) -> int:
        return 20


REFUSED: dict[str, tuple[dict[str, Any], str]] = {  # Any: wrong on purpose
    "staleness": ({"staleness": -1}, "staleness=-1; expected a whole number of at least 0"),
    "random rounds": ({"random_rounds": 1.5}, r"random_rounds=1\.5; expected a whole number"),
    "target": ({"target": 7}, "target=7 with 2 logit columns; expected a column from 0 to 1"),
    "target below 0": ({"target": -1}, "target=-1; expected a column of the logits"),
    "part of a target": ({"target": 0.5}, r"target=0\.5; expected a whole number"),
    "options": ({"options": {}}, r"options=\{\}; expected a FleetConfig"),
    "collate": ({"collate": 5}, "collate=5; expected a function"),
    "a policy's class": ({"policy": RoundPolicy}, "policy=<class .*RoundPolicy.*expected a RoundPolicy"),
    "a label that is a number": (
        {"target_label": 1},
        "target_label=1; expected the name of a label, as text; give target_label='1'",
    ),
    "pandas": ({"pool": DataFrame(np.zeros((20, 3)))}, "a pool of type DataFrame; .*; give the list of its bags"),
    "a sparse matrix": ({"pool": csr_matrix(np.eye(20))}, "a pool of type csr_matrix; .*; give toarray"),
    "a sparse tensor": (
        {"pool": torch.ones(20, 3, 4).to_sparse()},
        "a pool that is a sparse tensor; expected a dense one",
    ),
    "head of a classifier with one": (
        {"model": vector_model(), "head": "nonsense"},
        "head='nonsense' with a BagClassifier; expected its own",
    ),
    "head": ({"head": 5}, "no linear layer 5; expected one of body, fc"),
    "stream": ({"pool": Stream()}, "a pool of type Stream; expected a map-style dataset"),
    "no items": ({"pool": Unindexed()}, "a pool of type Unindexed; expected a map-style dataset"),
    "class of a dataset": ({"pool": list}, "a pool of type type; expected a map-style dataset"),
    "stream of positives": ({"positives": Stream()}, "positives of type Stream; expected a map-style dataset"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_refused_at_once(name: str) -> None:
    given, message = REFUSED[name]
    with pytest.raises(BadInput, match=message) as caught:
        NegativeSampler(**({"pool": POOL, "model": MeanNet(), "strategy": "margin", "k": 3} | given))
    assert "\n" not in str(caught.value)


def test_a_siblings_target_is_a_column_too() -> None:
    with (
        NegativeSampler(POOL, vector_model(classes=3), k=2) as sampler,
        pytest.raises(BadInput, match="target=3 with 3 logit columns; expected a column from 0 to 2"),
    ):
        sampler.sibling("entropy", k=2, target=3)


SCORES, VERSIONS = torch.zeros(20, dtype=torch.float64), torch.zeros(20, dtype=torch.int32)
NONSENSE: dict[str, tuple[Any, str]] = {  # Any: wrong on purpose
    "text": ({"previous": "abc"}, "'previous' is a str"),
    "number": ({"previous": 5}, "'previous' is a int"),
    "fractions": ({"previous": torch.tensor([1.5])}, r"'previous' is a Tensor of torch\.float32, \(1,\)"),
    "half": ({"previous": torch.zeros(2, dtype=torch.bfloat16)}, r"torch\.bfloat16.*whole numbers in a row"),
    "two axes": ({"previous": np.zeros((2, 2), dtype=int)}, r"\(2, 2\); expected whole numbers in a row"),
    "twice": ({"previous": np.array([3, 3])}, "a position twice"),
    "below 0": ({"previous": np.array([-3, 3])}, "positions -3 to 3; expected 0 to 19"),
    "scores": ({"previous": None, "kept": 3}, "kept scores of type int; expected 'score' and 'version'"),
    "no versions": ({"previous": None, "kept": {"score": SCORES}}, "kept scores of type dict"),
    "whole scores": ({"previous": None, "kept": {"score": VERSIONS, "version": VERSIONS}}, "'score' is a Tensor"),
    "too few": ({"previous": None, "kept": {"score": SCORES, "version": VERSIONS[1:]}}, "20 bags and versions of 19"),
    "version": ({"previous": None, "pool_version": "new"}, "pool_version='new'; expected a whole number"),
    "table": ({"previous": None, "pool_version": 2}, "a pool that is no bag table"),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_a_state_that_is_none_is_refused_and_changes_nothing(name: str) -> None:
    state, message = NONSENSE[name]
    with NegativeSampler(POOL, MeanNet(), k=3, options=FleetConfig(kind="local")) as sampler:
        sampler.select(MeanNet().state_dict(), 0)
        before = sampler.state_dict()
        with pytest.raises(BadInput, match=message) as caught:
            sampler.load_state_dict(state)
        assert "\n" not in str(caught.value)
        assert sampler.state_dict()["previous"].tolist() == before["previous"].tolist()


@dataclass(frozen=True)
class OwnPolicy(RoundPolicy):
    """A user's policy with a field of its own."""

    note: str = "mine"


def test_a_policys_own_fields_stay_with_the_user() -> None:
    assert asdict(resolve_policy(OwnPolicy(every=3), RoundPolicy())) == asdict(RoundPolicy(every=3))


@pytest.mark.parametrize("change", [lambda bags: bags.pop(), lambda bags: bags.append(bags[0])])
def test_a_pool_of_another_size_than_its_samplers_is_refused(change: Callable[[list[Tensor]], object]) -> None:
    bags, model = [torch.randn(3, 6) for _ in range(20)], MeanNet()
    with NegativeSampler(bags, model, strategy="entropy", k=3, shards=1) as sampler:
        sampler.select(model.state_dict(), 0)
        change(bags)
        with pytest.raises(BadInput, match="bags, which had 20 when its sampler was made; expected a pool that stays"):
            sampler.select(model.state_dict(), 1)
