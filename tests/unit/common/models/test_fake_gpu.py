"""Every model on a GPU that is not there: all that is computed is on it, for what every strategy asks."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from negsift.common.data.audio.config import ClipForm
from negsift.common.data.bagset import BagBatch, Batch
from negsift.common.models.config import CLIP_MODELS, MODELS, POOLINGS, VECTOR_MODELS, ModelConfig
from negsift.common.models.embedder import Embedder, as_embedder
from negsift.common.models.encoders import make_model, make_vector_model
from negsift.common.models.psla import make_clip_model
from negsift.common.types import EmbeddingSpec, Need
from negsift.service.strategies import STRATEGIES, StrategyConfig, make_strategy
from tests.unit.fake_gpu import GPU, fake_gpu, on_fake_gpu
from tests.unit.toys import MeanNet, a_round

SIZES = {"equal": [3, 3, 3], "ragged": [1, 4, 2]}
SPECS = {make_strategy(StrategyConfig(name)).embedding_spec(a_round(1)) for name in STRATEGIES}
SPECS |= {EmbeddingSpec(Need.GRADIENT, "known")}
FORM = ClipForm(frames=256, mels=128, mean=-4.0, std=4.0)


def images(sizes: list[int]) -> BagBatch:
    return BagBatch(torch.zeros(sum(sizes), 3, 32, 32, dtype=torch.uint8, device=GPU), np.array(sizes))


def features(sizes: list[int]) -> BagBatch:
    return BagBatch(torch.zeros(sum(sizes), 6, device=GPU), np.array(sizes))


def clips(sizes: list[int]) -> Tensor:
    return torch.zeros(len(sizes), FORM.frames, FORM.mels, dtype=torch.float16, device=GPU)


Make = tuple[Callable[[], Embedder], Callable[[list[int]], Batch]]
ALL: dict[str, Make] = {
    **{f"{name}, mean_softmax": ((lambda name=name: make_model(ModelConfig(name), (3, 32, 32), 0)), images) for name in MODELS},
    **{f"linear, {pooling}": ((lambda pooling=pooling: make_vector_model(ModelConfig("linear", pooling=pooling), 6, 0)), features) for pooling in POOLINGS},
    **{f"{name}, vectors": ((lambda name=name: make_vector_model(ModelConfig(name), 6, 0)), features) for name in VECTOR_MODELS},
    **{name: ((lambda name=name: make_clip_model(ModelConfig(name), FORM, 0)), clips) for name in CLIP_MODELS},
    "own network": ((lambda: as_embedder(MeanNet())), lambda sizes: torch.zeros(len(sizes), 3, 6, device=GPU)),
}  # fmt: skip


@pytest.fixture
def numbers_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks of a user's outputs, which read numbers, pass."""
    monkeypatch.setattr("negsift.common.models.adapt.agree", lambda *_: True)
    monkeypatch.setattr("negsift.common.models.adapt.all_finite", lambda _: True)
    monkeypatch.setattr("negsift.common.models.adapt.look_like_probabilities", lambda _: False)


@pytest.mark.usefixtures("numbers_unread")
@pytest.mark.parametrize("name", ALL)
def test_all_that_is_computed_is_on_the_device(name: str) -> None:
    make, batch_of = ALL[name]
    model = make().eval()
    with fake_gpu() as mode, torch.no_grad():
        on_fake_gpu(model, mode)
        for sizes in SIZES.values():
            batch = batch_of(sizes)
            encoded = model.encode(batch, len(sizes))
            results = [model.answer(encoded, spec) for spec in SPECS if spec.need > Need.NOTHING]
            with torch.autocast("cpu", torch.bfloat16):
                results.append(model.answer(model.encode(batch, len(sizes)).wide(), EmbeddingSpec(Need.GRADIENT)))
            found = {part.device for result in results for part in result.parts}
            assert found == {GPU}
            assert {len(part) for result in results for part in result.parts} == {len(sizes)}
            if isinstance(model, nn.Module) and name != "own network":
                assert model.outputs(batch).margins.device == GPU  # type: ignore[union-attr]  # of ours
