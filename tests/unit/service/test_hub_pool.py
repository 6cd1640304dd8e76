"""A `datasets.Dataset` as a pool: the picks of the same bags in a list and in a table."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict, Features, Image, Sequence, Value

from negsift import BagClassifier, NegativeSampler, make_pooling
from negsift.common.data.audio.config import AudioConfig
from negsift.common.data.hub_bags import HubBags
from negsift.common.data.table.build import build_table
from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.errors import BadData, BadInput
from tests.unit.clip_tables import features as clip_features
from tests.unit.clips import SMALL, encoded_clip
from tests.unit.sources import npy, png, shard

BAGS = [np.random.default_rng(number).normal(size=(1 + number % 4, 6)).astype(np.float32) for number in range(150)]
NESTED = Features({"features": Sequence(Sequence(Value("float32"))), "label": Value("string")})


def dataset() -> Dataset:
    rows = {"features": [bag.tolist() for bag in BAGS], "label": ["[]"] * len(BAGS)}
    return Dataset.from_dict(rows, features=NESTED)


def picks(pool: Any, **more: Any) -> list[int]:
    torch.manual_seed(0)
    model = BagClassifier(torch.nn.Identity(), torch.nn.Linear(6, 2), make_pooling("mean_softmax", 2))
    with NegativeSampler(pool, model, strategy="badge", k=20, shards=2, seed=1, **more) as sampler:
        chosen: list[int] = sampler.select(model.state_dict(), 0).index.tolist()
    return chosen


def test_all_forms_of_the_same_bags_give_the_same_picks(tmp_path: Path) -> None:
    expected = picks([torch.from_numpy(bag) for bag in BAGS])
    assert picks(dataset()) == expected
    dataset().save_to_disk(tmp_path / "saved")
    assert picks(Dataset.load_from_disk(str(tmp_path / "saved"))) == expected
    build_table(tmp_path / "table", tmp_path / "saved", BuildConfig(classes=("bird",)))
    assert picks(tmp_path / "table", target_label="bird") == expected
    members = [(f"{n:03d}.npy", npy(bag)) for n, bag in enumerate(BAGS)]
    shard(
        tmp_path / "wds" / "000000.tar",
        dict(part for name, data in members for part in ((name, data), (name[:4] + "cls", b"[]"))),
    )
    build_table(tmp_path / "from-wds", tmp_path / "wds", BuildConfig(classes=("bird",)))
    assert picks(tmp_path / "from-wds", target_label="bird") == expected


def test_a_collate_of_ones_own_gets_the_rows_as_they_are() -> None:
    def collate(rows: list[dict[str, Any]]) -> torch.Tensor:
        return torch.stack([torch.tensor(row["words"]).float().mean(0) for row in rows])

    rows = Dataset.from_dict({"words": [[[row, 1.0]] * (1 + row % 3) for row in range(40)], "text": ["a"] * 40})
    with NegativeSampler(rows, torch.nn.Linear(2, 2), strategy="entropy", k=5, collate=collate) as sampler:
        assert len(sampler.select({"weight": torch.eye(2), "bias": torch.zeros(2)}, 0).index) == 5


@pytest.mark.parametrize("format", [None, "torch", "numpy"])
def test_bags_are_read_many_at_once_whatever_the_format(format: str | None, tmp_path: Path) -> None:
    dataset().save_to_disk(tmp_path / "saved")
    bags = pickle.loads(pickle.dumps(HubBags.of(Dataset.load_from_disk(str(tmp_path / "saved")).with_format(format))))
    for found, position in zip(bags.__getitems__([7, 0, 149]), (7, 0, 149), strict=True):
        np.testing.assert_array_equal(found, BAGS[position])
    np.testing.assert_array_equal(bags[-1], BAGS[149])
    with pytest.raises(IndexError, match="row 150 of 150"):
        bags[150]


def test_one_instance_a_row_is_a_bag_of_one() -> None:
    bags = HubBags.of(Dataset.from_dict({"embedding": [[1.0, 2.0], [3.0, 4.0]], "title": ["a", "b"]}))
    assert [bag.tolist() for bag in bags] == [[[1, 2]], [[3, 4]]]


def test_images_are_decoded_to_the_size_of_the_first() -> None:
    rows = {"image": [{"bytes": png(level), "path": None} for level in (0, 200)], "label": [0, 1]}
    first, second = HubBags.of(Dataset.from_dict(rows, features=Features({"image": Image(), "label": Value("int64")})))
    assert (first.shape, first.dtype, second.unique().tolist()) == ((1, 3, 8, 8), torch.uint8, [200])


def test_clips_are_the_log_mel_that_tables_give() -> None:
    sounds = [encoded_clip(number) for number in range(3)]
    rows = {"audio": [{"bytes": sound, "path": "x.flac"} for sound in sounds]}
    form = AudioConfig(seconds=SMALL.seconds, mels=SMALL.mels, frames=SMALL.frames)
    found = HubBags.of(Dataset.from_dict(rows), form)
    np.testing.assert_array_equal(torch.stack(list(found)), clip_features(sounds))


@pytest.mark.parametrize("rows", [{"text": ["a"]}, {"x": [[1.0]], "y": [[1.0]]}, {"image": ["path.png"]}])
def test_a_dataset_without_one_column_of_bags_is_refused(rows: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="a datasets.Dataset with columns .*; expected one column of bags: features, im"):
        picks(Dataset.from_dict(rows))


def test_a_dataset_of_no_row_is_refused() -> None:
    with pytest.raises(BadInput, match="a datasets.Dataset of no row"):
        picks(Dataset.from_dict({"features": []}))


def test_features_of_whole_numbers_are_features() -> None:
    rows = Dataset.from_dict({"features": [[[row, 1]] * (1 + row % 2) for row in range(4)], "label": [0] * 4})
    assert [bag.tolist() for bag in HubBags.of(rows)] == [[[float(row), 1.0]] * (1 + row % 2) for row in range(4)]


PICTURE = {"bytes": png(7), "path": None}


@pytest.mark.parametrize("broken", [None, {"bytes": b"no image", "path": None}])
def test_an_image_that_cannot_be_decoded_is_named_by_its_row(broken: Any) -> None:
    bags = HubBags.of(Dataset.from_dict({"image": [PICTURE] * 3 + [broken]}))
    with pytest.raises(BadData, match="image 'row 3' undecodable .*; give the dataset without it"):
        bags.__getitems__([1, 3])


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        (Dataset.from_dict({"pages": [[PICTURE]] * 3, "image": [PICTURE] * 3}), "with columns pages, image; expected one"),
        (DatasetDict(train=dataset()), r"a pool of type DatasetDict; .*; give one of its parts, such as \['train'\]"),
    ],
)  # fmt: skip
def test_datasets_of_another_form_are_told_what_to_give(pool: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        picks(pool)
