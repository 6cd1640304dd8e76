"""A sampler given a table of clips: the selections of the same clips in memory, for models of clips and any other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from negsift.common.data.audio.config import ClipForm
from negsift.common.data.audioset.clips import ClipSet
from negsift.common.data.catalogue import load_split
from negsift.common.data.table.bags import open_pool
from negsift.common.data.table.memory_use import streaming_bytes
from negsift.common.models.config import ModelConfig
from negsift.common.models.psla import make_clip_model
from negsift.service import NegativeSampler
from negsift.service.config import FleetConfig
from tests.unit.clip_tables import LABELS, build, features
from tests.unit.clips import HIGH, SMALL, data, encoded_clip, tags_of, write_folder
from tests.unit.toys import assert_same, select, vector_model

COUNT, K = 64, 7
FORM = ClipForm(SMALL.frames, SMALL.mels, -4.0, 4.0)
MODEL = make_clip_model(ModelConfig("small_attention"), FORM, 3)
GIVEN: dict[str, Any] = {"options": FleetConfig(block=4)}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    build(write_folder(folder / "audioset", COUNT), folder / "table")
    return folder / "table"


@pytest.fixture(scope="module")
def memory() -> tuple[Tensor, Tensor]:
    """The negatives and the positives, decoded one by one."""
    every = torch.from_numpy(features([encoded_clip(number) for number in range(COUNT)]))
    positive = torch.tensor([HIGH in tags_of(number) for number in range(COUNT)])
    return every[~positive], every[positive]


@pytest.mark.parametrize(("name", "shards"), [("gradient_embedding", 2), ("badge", 7), ("svm_margin", 3)])
def test_a_table_is_the_same_pool_as_its_clips_in_memory(
    path: Path, memory: tuple[Tensor, Tensor], name: str, shards: int
) -> None:
    alone = select(memory[0], MODEL, name, K, shards=1, positives=memory[1], **GIVEN)
    given = GIVEN | {"shards": shards, "positives": path, "target_label": LABELS[HIGH]}
    assert_same(select(path, MODEL, name, K, **given), alone)  # type: ignore[arg-type]  # a path


def test_a_table_gives_the_scores_of_a_clip_set(path: Path) -> None:
    pool = load_split(data(path.parent / "audioset", val_share=0.01)).pool
    assert isinstance(pool, ClipSet)
    bags = open_pool(path, LABELS[HIGH])
    place = {name: at for at, name in enumerate(bags.bag_id(np.arange(len(bags))))}
    same = np.array([place[name] for name in pool.bag_id(np.arange(len(pool)))])  # without the clips for validation
    one = select(pool, MODEL, "entropy", len(pool), **GIVEN)
    other = select(bags, MODEL, "entropy", len(bags), **GIVEN)
    scores = dict(zip(other.index.tolist(), other.score.tolist(), strict=True))
    np.testing.assert_allclose([scores[at] for at in same[one.index].tolist()], one.score, rtol=1e-5)


@pytest.mark.parametrize("disk_mb", [0, 1])
def test_a_table_that_streams_is_the_same_pool(path: Path, memory: tuple[Tensor, Tensor], disk_mb: int) -> None:
    least = -(-streaming_bytes(open_pool(path, LABELS[HIGH]).row_index) >> 20) + 1
    tight = FleetConfig(block=4, pool_mb=least, disk_mb=disk_mb, cache_mb=0)
    table = {"target_label": LABELS[HIGH], "options": tight}
    with NegativeSampler(path, MODEL, strategy="badge", k=K, shards=2, **table) as one:  # type: ignore[arg-type]  # of any
        for seed in (1, 2):
            weights = make_clip_model(ModelConfig("small_attention"), FORM, seed).state_dict()
            with NegativeSampler(memory[0], MODEL, strategy="badge", k=K, shards=1, **GIVEN) as other:
                assert_same(one.select(weights, seed), other.select(weights, seed))


class MeanOfFrames(nn.Module):
    """A user's own network of clips."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.fc = nn.Linear(SMALL.mels, 2)

    def forward(self, clips: Tensor) -> Tensor:
        return self.fc(clips.float().mean(1))


def louder(clips: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(clips)).float() * 2


@pytest.mark.parametrize("collate", [None, louder])
def test_a_users_network_gets_clips_stacked(path: Path, memory: tuple[Tensor, Tensor], collate: Any) -> None:
    table = select(path, MeanOfFrames(), "badge", K, target_label=LABELS[HIGH], collate=collate, **GIVEN)  # type: ignore[arg-type]  # a path
    assert_same(table, select(memory[0], MeanOfFrames(), "badge", K, collate=collate, **GIVEN))


class Widen(nn.Module):
    """float16 to float32."""

    def forward(self, frames: Tensor) -> Tensor:
        return frames.float()


def test_frames_are_the_instances_of_a_bag_classifier(path: Path, memory: tuple[Tensor, Tensor]) -> None:
    model = vector_model(width=SMALL.mels)
    model.encoder = nn.Sequential(Widen(), model.encoder)
    table = select(path, model, "margin", K, target_label=LABELS[HIGH], **GIVEN)  # type: ignore[arg-type]  # a path
    assert_same(table, select(memory[0], model, "margin", K, **GIVEN))
