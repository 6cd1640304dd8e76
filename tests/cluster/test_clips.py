"""Clips on Ray: the actors map the same cache files, and pick what one local shard picks."""

from pathlib import Path

import numpy as np
import pytest

from common.data.audio.config import ClipForm
from common.data.audioset.clips import ClipSet
from common.data.catalogue import load_split
from common.models.encoders import ModelConfig
from common.models.psla import make_clip_model
from service import NegativeSampler
from service.setup import FleetConfig
from tests.unit.clip_tables import LABELS, build
from tests.unit.clips import HIGH, SMALL, data, write_folder
from tests.unit.toys import assert_same

pytestmark = pytest.mark.usefixtures("local_ray")


def test_ray_scorers_pick_the_clips_that_one_local_shard_picks(tmp_path: Path) -> None:
    split = load_split(data(write_folder(tmp_path / "audioset")))
    assert isinstance(split.pool, ClipSet)
    model = make_clip_model(ModelConfig("small_attention"), split.pool.form, 0)
    given = {"k": 6, "positives": split.positives, "options": FleetConfig(block=4)}
    with (
        NegativeSampler(split.pool, model, shards=1, **given) as local,
        NegativeSampler(split.pool, model, shards=2, fleet="ray", **given) as ray,
    ):
        for name in ("gradient_embedding", "badge", "svm_margin"):
            one, other = (each.sibling(name, k=6).select(model.state_dict(), 0) for each in (local, ray))
            np.testing.assert_array_equal(one.index, other.index)
            np.testing.assert_array_equal(one.score, other.score)


def test_ray_scorers_pick_from_a_table_of_clips_what_one_local_shard_picks(tmp_path: Path) -> None:
    path = Path(build(write_folder(tmp_path / "audioset"), tmp_path / "table").path)
    model = make_clip_model(ModelConfig("small_attention"), ClipForm(SMALL.frames, SMALL.mels, -4.0, 4.0), 0)
    given = {"k": 6, "strategy": "badge", "target_label": LABELS[HIGH], "options": FleetConfig(block=4)}
    with (
        NegativeSampler(path, model, shards=1, **given) as local,
        NegativeSampler(path, model, shards=2, fleet="ray", **given) as ray,
    ):
        assert_same(*(each.select(model.state_dict(), 0) for each in (local, ray)))
