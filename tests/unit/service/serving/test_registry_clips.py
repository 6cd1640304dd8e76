"""Tasks over a table of clips: the models that a service makes from their names."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from negsift.common.data.audio.config import PSLA_STATS, ClipForm
from negsift.common.data.table.schema import Payload, SoundFormat
from negsift.common.errors import BadInput
from negsift.common.models.clip import ClipClassifier
from negsift.common.models.config import CLIP_MODELS, ModelConfig
from negsift.common.models.named import named_model
from negsift.common.models.psla import make_clip_model
from negsift.common.types import EmbeddingSpec, Need
from negsift.service.config import FleetConfig
from negsift.service.serving.protocol import PROTOCOL, RoundSpec, TaskSpec, parse
from negsift.service.serving.registry import TaskRegistry
from negsift.service.serving.shard_specs import ShardSpecs
from tests.unit.clip_tables import LABELS, build
from tests.unit.clips import HIGH, write_folder

PAYLOAD = Payload("audio", "float16", (64, 32), SoundFormat(16_000, 1.0))
STATED = {"mean": -4.0, "std": 3.5}


@pytest.mark.parametrize("name", CLIP_MODELS)
def test_a_named_model_is_the_trainers(name: str) -> None:
    model, same = (
        named_model({"name": name, **STATED}, PAYLOAD),
        make_clip_model(ModelConfig(name), ClipForm(64, 32, -4.0, 3.5), 7),
    )
    assert isinstance(model, ClipClassifier)
    same.load_state_dict(model.state_dict())  # the same names and shapes
    assert all(torch.equal(*pair) for pair in zip(model.buffers(), same.buffers(), strict=True))


def test_statistics_are_pslas_where_clips_are() -> None:
    model = named_model({"name": "small_attention"}, Payload("audio", "float16", (96, 128), SoundFormat(16_000, 1.0)))
    assert isinstance(model, ClipClassifier)
    assert (float(model.standardise.mean), float(model.standardise.std)) == pytest.approx(PSLA_STATS)


@pytest.mark.parametrize(
    ("given", "payload", "message"),
    [
        ({"name": "small_attention"}, PAYLOAD, "model.mean=None, model.std=None for audio float16.*give both"),
        ({"name": "small_attention", "mean": -4.0}, PAYLOAD, "model.mean=-4.0, model.std=None for audio"),
        ({"name": "psla", "mean": 0.0, "std": 0.0}, PAYLOAD, "model.std=0.0; expected a number above 0"),
        ({"name": "linear"}, PAYLOAD, "model 'linear' for a pool of audio .*; expected one of psla, small_attention"),
        ({"name": "simple_cnn"}, PAYLOAD, "model 'simple_cnn' for a pool of audio"),
        ({"name": "psla"}, Payload("features", "float32", (4,)), "model 'psla' for a pool of features .*linear, mlp"),
        ({"name": "psla"}, Payload("image", "uint8", (3, 32, 32)), "'psla' for a pool of image .*simple_cnn, resnet18"),
        ({"name": "small_atention"}, PAYLOAD, "did you mean 'small_attention'"),
        (
            {"name": "psla", **STATED},
            Payload("audio", "float16", (16, 32), SoundFormat(16_000, 1.0)),
            "clips of 16 frames x 32 mel bands; expected at least 32 of each",
        ),
    ],
)
def test_a_model_that_does_not_fit_is_reported(given: dict[str, Any], payload: Payload, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        named_model(given, payload)


def test_a_task_over_clips_has_its_model_and_its_clips(tmp_path: Path) -> None:
    where = build(write_folder(tmp_path / "audioset", 20), tmp_path / "table")
    specs = ShardSpecs(where, FleetConfig(block=4), 2)
    tasks = TaskRegistry(specs, {})
    model = {"name": "small_attention", **STATED}
    request = {"protocol": PROTOCOL, "model": model, "strategy": {"name": "badge"}, "target": LABELS[HIGH], "k": 3}
    answer = tasks.register(parse(TaskSpec, request))
    spec = specs.make(tasks.round(RoundSpec(answer["task"], 0)).entry.spec)
    assert (answer["bags"], answer["positives"]) == (12, 8)
    embedded = spec.model.eval().embed(spec.pool.batch(np.arange(4)), np.arange(4), EmbeddingSpec(Need.GRADIENT))
    assert embedded.logits.shape == (4, 2)
    assert embedded.finite.all()
