"""What a local sampler leaves to its caller: random generators, and the threads of the process that made it."""

import multiprocessing
import random
from collections.abc import Callable
from multiprocessing.connection import Connection

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from negsift.common.errors import BadInput
from negsift.common.protocols import Pending
from negsift.service import NegativeSampler
from negsift.service.config import FleetConfig
from negsift.service.strategies import STRATEGIES
from tests.unit.toys import MeanNet, select, vectors

POOL, POSITIVES = vectors([3] * 20), vectors([3] * 5, seed=1)


def drawn() -> list[float]:
    """The next number of each global generator."""
    return [random.random(), float(np.random.random()), float(torch.rand(()))]  # noqa: NPY002  # the global one is meant


def seed_all() -> None:
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002  # as above
    torch.manual_seed(3)


def expected() -> list[float]:
    seed_all()
    return drawn()


class Noisy(MeanNet):
    """Drops features in evaluation, too, and adds noise."""

    def forward(self, bags: Tensor) -> Tensor:
        dropped = torch.nn.functional.dropout(self.body(bags), 0.5, training=True)
        return self.fc(dropped + torch.rand(4) + random.random()).mean(1)


class Augmented(Dataset[Tensor]):
    """Draws from all global generators for every bag."""

    def __len__(self) -> int:
        return 20

    def __getitem__(self, position: int) -> Tensor:
        return POOL[position] + sum(drawn())


def noisy_collate(items: list[Tensor]) -> Tensor:
    return torch.stack(items) * drawn()[0]


DRAWING: dict[str, Callable[[], object]] = {
    "model": lambda: select(POOL, Noisy(), "entropy", 5),
    "pool": lambda: select(Augmented(), MeanNet(), "entropy", 5),
    "collate": lambda: select(POOL, MeanNet(), "entropy", 5, collate=noisy_collate),
}


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_round_in_the_background_draws_nothing_from_the_callers_generators(name: str) -> None:
    wanted = expected()
    seed_all()
    with NegativeSampler(POOL, MeanNet(), strategy=name, k=5, positives=POSITIVES, fleet="local") as sampler:
        sampler.submit(MeanNet().state_dict(), 0).result()
    assert drawn() == wanted


@pytest.mark.parametrize("what", DRAWING)
def test_select_leaves_the_callers_generators_whatever_draws_in_it(what: str) -> None:
    wanted = expected()
    seed_all()
    DRAWING[what]()
    assert drawn() == wanted


def test_a_failed_select_leaves_them_too() -> None:
    wanted = expected()
    seed_all()
    with pytest.raises(BadInput):
        select(
            POOL,
            Noisy(),
            "entropy",
            5,
            collate=lambda items: torch.full((len(items), 3, 6), torch.nan) * torch.rand(()),
        )
    assert drawn() == wanted


def in_child(sampler: NegativeSampler, pending: Pending, end: Connection) -> None:
    for attempt in (lambda: sampler.select(MeanNet().state_dict(), 1), pending.result):
        try:
            attempt()
        except BadInput as error:
            end.send(str(error))
    sampler.close()
    end.send("closed")


def test_a_forked_child_is_told_to_make_its_own_sampler() -> None:
    here, there = multiprocessing.Pipe()
    with NegativeSampler(POOL, MeanNet(), k=5, strategy="margin", options=FleetConfig(kind="local")) as sampler:
        pending = sampler.submit(MeanNet().state_dict(), 0)
        child = multiprocessing.get_context("fork").Process(target=in_child, args=(sampler, pending, there))
        child.start()
        said = [here.recv() if here.poll(60) else "nothing" for _ in range(3)]
        child.join(60)
        assert len(pending.result().index) == 5
    assert said[0] == said[1]
    assert "a local sampler in a forked child, its threads in the parent" in said[0]
    assert (said[2], child.exitcode) == ("closed", 0)
