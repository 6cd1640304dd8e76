"""What a run says that it cost, against the passes through its model that a hook counts."""

from collections import Counter
from pathlib import Path

import pytest
import torch

from negsift.common.arrays import Index
from negsift.common.data.bagset import Batch
from negsift.common.models.bag import BagClassifier, as_bag_batch
from negsift.common.models.bag_outputs import BagOutputs
from negsift.common.models.embed import EncodedBags
from negsift.common.overrides import override
from negsift.deploy.recipes import recipe
from negsift.deploy.run import Runner

WAYS = {
    "the paper's": ["strategy.name=entropy"],
    "candidates": ["strategy.name=badge", "sampling.candidates=60"],
    "both sides": [
        "strategy.name=ht_gumbel", "sampling.positives=20", "sampling.positives_by=entropy", "training.budget=300",
        "training.instance_loss.negative=1",
    ],
    "memory": ["strategy.name=entropy", "sampling.score=memory", "sampling.positives=20", "training.epochs=4"],
    "every other epoch": ["strategy.name=margin", "sampling.every=2", "training.epochs=4"],
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_reported_bags_are_those_that_went_forward_and_backward(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: Counter[str] = Counter()
    outputs, encode = BagClassifier.outputs, BagClassifier.encode

    def counted_outputs(model: BagClassifier, bags: Batch) -> BagOutputs:
        found = outputs(model, bags)
        if model.training:
            size = len(as_bag_batch(bags).sizes)
            passes["forward"] += size
            found.logits.register_hook(lambda gradient: passes.update(backward=len(gradient)))
        return found

    def counted_encode(model: BagClassifier, bags: Batch, count: int, *rest: Index) -> EncodedBags:
        assert not torch.is_grad_enabled()
        passes["scored"] += count
        return encode(model, bags, count, *rest)

    monkeypatch.setattr(BagClassifier, "outputs", counted_outputs)
    monkeypatch.setattr(BagClassifier, "encode", counted_encode)
    config = override(
        recipe("digits"),
        ["training.epochs=2", "data.image_size=16", "data.bag_size=4", "fleet.block=16", "fleet.shards=1", *WAYS[way]],
    )
    with Runner() as runner:
        bags = runner.run(config, tmp_path / "run")["bags"]
    assert (bags["trained"], bags["trained"], bags["scored"]) == tuple(
        passes[one] for one in ("forward", "backward", "scored")
    )
