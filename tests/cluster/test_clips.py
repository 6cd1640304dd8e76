"""Clips on Ray: the actors map the same cache files, and pick what one local shard picks."""

from pathlib import Path

import numpy as np
import pytest

from negsift.common.data.audio.config import ClipForm
from negsift.common.data.audio.recording import Recording
from negsift.common.data.audio.store import CachePlan, build_store, remote_decoding
from negsift.common.data.audioset.clips import ClipSet
from negsift.common.data.catalogue import load_split
from negsift.common.models.config import ModelConfig
from negsift.common.models.psla import make_clip_model
from negsift.deploy import clips_on_ray
from negsift.deploy.clips_on_ray import decoded_on_ray, make_part
from negsift.service import NegativeSampler
from negsift.service.config import FleetConfig
from tests.cluster.serving import all_cpus_taken
from tests.unit.clip_tables import LABELS, build
from tests.unit.clips import HIGH, SMALL, data, encoded_clip, write_folder
from tests.unit.toys import assert_same

pytestmark = pytest.mark.usefixtures("local_ray")


def test_clips_decoded_on_ray_have_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(70):
        (tmp_path / f"{number:03d}.flac").write_bytes(encoded_clip(number) if number != 40 else b"text")
    recordings, found = [Recording(tmp_path / f"{number:03d}.flac") for number in range(70)], []
    for kind in ("local", "ray"):
        monkeypatch.setenv("NEGSIFT_CACHE", str(tmp_path / kind))
        with decoded_on_ray(FleetConfig(kind=kind)):
            store = build_store(recordings, SMALL, workers=1)
        assert list(store.dropped) == [40]
        found.append({path.name: path.read_bytes() for path in (tmp_path / kind).rglob("*.arrow")})
    assert found[0] == found[1]
    assert len(found[0]) == 6


def test_where_the_cluster_has_no_room_clips_are_decoded_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NEGSIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(clips_on_ray, "_PATIENCE_S", 0.0)
    (tmp_path / "a.flac").write_bytes(encoded_clip(0))
    with all_cpus_taken(), decoded_on_ray(FleetConfig(kind="ray")):
        assert len(build_store([Recording(tmp_path / "a.flac")], SMALL, workers=1).number) == 1
    assert "the rest is made here" in caplog.text


def test_parts_that_no_node_can_make_are_made_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEGSIFT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "a.flac").write_bytes(encoded_clip(0))
    plan = CachePlan((Recording(tmp_path / "a.flac"),), SMALL, tmp_path / "cache")
    assert make_part(plan, 0, tmp_path / "no mark") is None
    assert make_part(CachePlan((Recording(tmp_path / "gone.flac"),), SMALL, tmp_path), 0, tmp_path) is None
    before = remote_decoding.set(lambda plan, missing: ())
    assert len(build_store(plan.recordings, SMALL, workers=1).number) == 1
    remote_decoding.reset(before)


def test_ray_scorers_pick_the_clips_that_one_local_shard_picks(tmp_path: Path) -> None:
    split = load_split(data(write_folder(tmp_path / "audioset")))
    assert isinstance(split.pool, ClipSet)
    model = make_clip_model(ModelConfig("small_attention"), split.pool.form, 0)
    given = {"k": 6, "positives": split.positives, "options": FleetConfig(block=4)}
    with (
        NegativeSampler(split.pool, model, shards=1, **given) as local,
        NegativeSampler(split.pool, model, shards=2, fleet="ray", **given) as there,
    ):
        for name in ("gradient_embedding", "badge", "svm_margin"):
            one, other = (each.sibling(name, k=6).select(model.state_dict(), 0) for each in (local, there))
            np.testing.assert_array_equal(one.index, other.index)
            np.testing.assert_array_equal(one.score, other.score)


def test_ray_scorers_pick_from_a_clip_table_as_one_local_shard(tmp_path: Path) -> None:
    path = Path(build(write_folder(tmp_path / "audioset"), tmp_path / "table").path)
    model = make_clip_model(ModelConfig("small_attention"), ClipForm(SMALL.frames, SMALL.mels, -4.0, 4.0), 0)
    given = {"k": 6, "strategy": "badge", "target_label": LABELS[HIGH], "options": FleetConfig(block=4)}
    with (
        NegativeSampler(path, model, shards=1, **given) as local,
        NegativeSampler(path, model, shards=2, fleet="ray", **given) as there,
    ):
        assert_same(*(each.select(model.state_dict(), 0) for each in (local, there)))
