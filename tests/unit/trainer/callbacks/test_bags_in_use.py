"""A loop that does not read the bags chosen is told so; every usual way to read them passes."""

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset, RandomSampler, Subset, TensorDataset

from negsift.common.errors import BadInput
from negsift.trainer.callbacks.bags_in_use import require_in_use
from negsift.trainer.epoch_bags import EpochBags
from tests.unit.trainer.callbacks.toy_loop import epoch_bags

OTHERS = TensorDataset(torch.zeros(8, 3))


class Own(Dataset[Any]):
    """A dataset of one's own around another one."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, position: int) -> Any:
        return self.inner[position]


def collate_from(bags: Any, items: Any) -> Any:
    return [bags[0], *items]


READ: dict[str, Callable[[EpochBags], Any]] = {
    "alone": lambda bags: DataLoader(bags, 4),
    "in a subset of a concatenation": lambda bags: DataLoader(Subset(ConcatDataset([OTHERS, bags]), range(9)), 4),
    "in one of several loaders": lambda bags: {"a": DataLoader(OTHERS), "b": [DataLoader(bags, sampler=RandomSampler(bags))]},
    "in a dataset of one's own": lambda bags: DataLoader(Own({"x": (bags,)}), 4),
    "by its sampler": lambda bags: DataLoader(OTHERS, sampler=RandomSampler(bags)),
    "by its collate": lambda bags: DataLoader(OTHERS, 4, collate_fn=functools.partial(collate_from, bags)),
}  # fmt: skip


@pytest.mark.parametrize("way", READ)
def test_loaders_that_read_the_bags_pass(way: str, caplog: pytest.LogCaptureFixture) -> None:
    bags = epoch_bags()
    require_in_use(bags, READ[way](bags))
    assert not caplog.records


@pytest.mark.parametrize(
    ("loader", "found"),
    [
        (DataLoader(OTHERS, 4, shuffle=True), "TensorDataset"),
        ([DataLoader(ConcatDataset([OTHERS, OTHERS]))], "ConcatDataset"),
        (DataLoader([torch.zeros(3)] * 100), "list"),  # type: ignore[arg-type]  # any sequence will do
        (DataLoader(epoch_bags(), 4), "EpochBags"),
    ],
)
def test_loaders_of_other_bags_are_refused(loader: Any, found: str) -> None:
    message = (
        f"a training loader of {found}, without the EpochBags of the callback; .*; train on the EpochBags that the"
    )
    with pytest.raises(BadInput, match=message):
        require_in_use(epoch_bags(), loader)


@pytest.mark.parametrize("loader", [DataLoader(Own(OTHERS)), DataLoader(OTHERS, collate_fn=lambda items: items)])
def test_code_of_ones_own_that_may_read_them_is_warned_about(loader: Any, caplog: pytest.LogCaptureFixture) -> None:
    require_in_use(epoch_bags(), loader)
    assert "unless it reads them nevertheless, selection changes nothing" in caplog.text
