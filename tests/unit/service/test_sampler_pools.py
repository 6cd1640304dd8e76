"""Forms of a pool: bags of any map-style dataset, ragged, or sharing instances."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Subset, TensorDataset

from negsift.common.errors import BadData, BadInput
from negsift.common.models.bag import BagClassifier
from negsift.common.models.pooling import make_pooling
from negsift.service.strategies import STRATEGIES
from tests.unit.toys import MeanNet, assert_same, bag_set, cnn, select, shared_bag_set, vector_model, vectors

RAGGED = vectors([1 + bag * 7 % 5 for bag in range(20)])
EQUAL = vectors([3] * 20)

FORMS: dict[str, Callable[[Sequence[Tensor]], Any]] = {
    "tuples": lambda bags: [(bag, number) for number, bag in enumerate(bags)],
    "lists": lambda bags: [[bag, "label", None] for bag in bags],
    "arrays": lambda bags: [bag.numpy() for bag in bags],
    "arrays that can't be written": lambda bags: [frozen(bag.numpy()) for bag in bags],
    "tuples of arrays": lambda bags: [(bag.numpy(), 0) for bag in bags],
    "torch's Subset": lambda bags: Subset(list(bags), range(len(bags))),
}


def frozen(array: np.ndarray) -> np.ndarray:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bags", [RAGGED, EQUAL], ids=["ragged", "equal"])
def test_bags_come_in_many_forms(form: str, bags: list[Tensor]) -> None:
    model = vector_model()
    assert_same(select(FORMS[form](bags), model, "badge", 5), select(bags, model, "badge", 5))


def test_a_users_network_gets_equal_bags_stacked() -> None:
    whole = torch.stack(EQUAL)
    assert_same(select(TensorDataset(whole), MeanNet(), "badge", 5), select(EQUAL, MeanNet(), "badge", 5))


def test_bag_set_is_the_same_pool_as_its_tensors() -> None:
    pool = bag_set([1 + bag * 7 % 5 for bag in range(20)])
    assert_same(select([pool[bag][0] for bag in range(20)], cnn(), "badge", 5), select(pool, cnn(), "badge", 5))


def stack_named(items: Sequence[dict[str, Tensor]]) -> Tensor:
    return torch.stack([item["bag"] for item in items])


@pytest.mark.parametrize("model", [MeanNet(), vector_model()], ids=["own network", "bag classifier"])
def test_collate_takes_bags_of_any_form(model: nn.Module) -> None:
    named = [{"bag": bag} for bag in EQUAL]
    assert_same(select(named, model, "badge", 5, collate=stack_named), select(EQUAL, model, "badge", 5))


class Padded(MeanNet):
    """Takes (bags, mask), as a user's collate may make them."""

    def forward(self, batch: tuple[Tensor, Tensor]) -> Tensor:  # type: ignore[override]  # another form of bags
        bags, mask = batch
        return self.fc((self.body(bags).tanh() * mask[..., None]).sum(1) / mask.sum(1, keepdim=True))


def pad(bags: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    mask = [torch.ones(len(bag)) for bag in bags]
    return tuple(nn.utils.rnn.pad_sequence(part, batch_first=True) for part in (list(bags), mask))  # type: ignore[return-value]  # two


def test_collate_makes_what_the_network_takes() -> None:
    alone = [Padded()(pad([bag]))[0].tolist() for bag in RAGGED]
    margins = [abs(logits[1] - logits[0]) for logits in alone]
    assert len(select(RAGGED, Padded(), "badge", 5, collate=pad).index) == 5
    assert select(RAGGED, Padded(), "margin", 5, collate=pad).index.tolist() == np.argsort(margins)[:5].tolist()


class Tally:
    """How many rows went through an encoder and all its copies."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def __deepcopy__(self, memo: object) -> "Tally":
        return self


class Counting(nn.Module):
    """Flattens images and counts them."""

    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self.tally = tally

    def forward(self, images: Tensor) -> Tensor:
        self.tally.rows.append(len(images))
        return images.flatten(1) / 255


ALONE = [name for name in STRATEGIES if not STRATEGIES[name].learns_from_positives]


@pytest.mark.parametrize(("name", "shards"), [*((name, 3) for name in ALONE), ("badge", 1), ("badge", 16)])
def test_shared_instances_are_encoded_once_a_round(name: str, shards: int) -> None:
    pool, tally = shared_bag_set(40, 50), Tally()
    model = BagClassifier(Counting(tally), nn.Linear(768, 2), make_pooling("mean_softmax", 768))
    select(pool, model, name, None if name == "full" else 5, shards=shards)
    assert sum(tally.rows) == (len(set(pool.rows.tolist())) if STRATEGIES[name].need else 0)


@pytest.mark.parametrize(
    ("name", "pooling"),
    [
        *((name, "mean_softmax") for name in STRATEGIES if name != "badge"),
        *((name, pooling) for name in ("gradient_embedding", "kl_prob") for pooling in ("softmax_max", "attention")),
    ],
)
def test_shared_instances_give_the_scores_of_bags_on_their_own(name: str, pooling: str) -> None:
    pool, positives, model = shared_bag_set(40, 50), bag_set([3] * 9, seed=1), cnn(pooling)
    plain = [pool[bag][0] for bag in range(40)]
    k = 40 if name != "svm_margin" else 20
    one, other = (select(bags, model, name, k, positives=positives) for bags in (pool, plain))
    np.testing.assert_allclose(one.score, other.score, rtol=1e-4, atol=1e-6)


def test_shared_instances_of_more_runs_than_one_are_put_together() -> None:
    pool, model = shared_bag_set(300, 700), cnn()
    one, two = (select(pool, model, "margin", 300, shards=shards) for shards in (1, 3))
    assert len(set(pool.rows.tolist())) > 320
    assert_same(one, two)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (torch.zeros(3, 7), r"item 13 of shape \(3, 7\) beside item 0 of \(3, 6\); expected instances of one shape"),
        (torch.zeros(6), r"shape \(6,\) as item 13"),
        (torch.zeros(0, 6), "no instance in item 13; expected at least one in every bag"),
        (torch.ones(3, 6).to_sparse(), "a sparse tensor as item 13; expected a dense one; give to_dense"),
        ({"bag": 1}, r"dict as item 13; expected a tensor.*give collate="),
        (None, "NoneType as item 13"),
        ("bag", "str as item 13"),
        ((), "tuple as item 13"),
    ],
)
def test_an_item_that_is_not_a_bag_is_named(item: object, message: str) -> None:
    with pytest.raises(BadData, match=message):
        select([*EQUAL[:13], item, *EQUAL[14:]], vector_model(), "margin", 3)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("kind", ["object", "U8", "M8[s]", "V8"])
def test_items_that_are_no_numbers_are_named(kind: str) -> None:
    pool: Any = [np.zeros((3, 6)).astype(kind)] * 8  # Any: wrong on purpose
    with pytest.raises(BadData, match=r"an array of \S+ as item 0; expected numbers"):
        select(pool, MeanNet(), "margin", 2)


def test_items_of_another_byte_order_are_the_same_bags() -> None:
    swapped: Any = [bag.numpy().astype(">f4") for bag in EQUAL]  # Any: arrays for tensors
    model = MeanNet()
    assert_same(select(EQUAL, model, "margin", 5), select(swapped, model, "margin", 5))


def test_ragged_bags_for_a_users_network_ask_for_collate() -> None:
    with pytest.raises(BadData, match=r"bags of one shape; give collate=, or a BagClassifier for ragged bags"):
        select(RAGGED, MeanNet(), "margin", 3)


@pytest.mark.parametrize("model", [vector_model(), MeanNet()], ids=["ragged", "equal"])
def test_an_item_of_another_shape_is_named_in_any_block(model: nn.Module) -> None:
    with pytest.raises(BadData, match=r"item (8|16) of shape \(3, 7\) beside item 0 of \(3, 6\).*repair the item"):
        select([*EQUAL[:8], *vectors([3] * 12, width=7)], model, "margin", 3)


@pytest.mark.parametrize("given", [{"a": torch.ones(3, 6)}, b"folder", None, iter(())], ids=repr)
def test_pools_and_positives_must_be_datasets(given: Any) -> None:  # Any: wrong on purpose
    with pytest.raises(BadInput, match="found a pool of type .*expected a map-style dataset"):
        select(given, vector_model(), "margin", 1)
    if given is not None:
        with pytest.raises(BadInput, match="found positives of type"):
            select(EQUAL, vector_model(), "margin", 1, positives=given)


@pytest.mark.parametrize(
    ("shards", "message"), [(6, ["6 shards for 40 bags in 5 blocks of 8: 1 of them stay empty"]), (5, [])]
)
def test_empty_shards_are_reported_once(shards: int, message: list[str], caplog: pytest.LogCaptureFixture) -> None:
    select(vectors([3] * 40), vector_model(), "entropy", 9, shards=shards)
    found = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [line.partition(";")[0] for line in found] == message


@pytest.mark.parametrize("keep", [1, 0])
def test_a_bag_given_as_a_list_of_its_instances_is_refused(keep: int) -> None:
    """Else its first instance would be taken for the bag."""
    bags = [list(bag.split(1)) if keep else list(bag) for bag in EQUAL]
    with pytest.raises(BadData, match="a list of tensors as item 0; expected one tensor; stack the instances"):
        select(bags, vector_model(), "entropy", 5)  # type: ignore[arg-type]  # what is refused
