"""Bags scored a second by a sampler on a GPU, against a bare loop over data that is there already."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from negsift.common.data.audio.config import ClipForm
from negsift.common.data.bagset import BagBatch
from negsift.common.data.instances import Instances
from negsift.common.errors import NegsiftError
from negsift.common.models.config import ModelConfig
from negsift.common.models.encoders import make_model, make_vector_model
from negsift.common.models.psla import make_clip_model
from negsift.service import NegativeSampler
from negsift.service.config import FleetConfig
from negsift.service.scoring.scoring_config import ScoringConfig
from tests.bench.gpu_device import Bench, utilisation
from tests.bench.gpu_runner import Row
from tests.unit.toys import stack_bags

INSTANCES = 5


@dataclass(frozen=True)
class Case:
    """A pool, a model, and the pool's bags as one tensor (bags, ...), of which `batch` makes what the model takes."""

    pool: Any
    model: nn.Module
    whole: Tensor
    batch: Callable[[Tensor], Any]


def case(name: str, bench: Bench) -> Case:
    """The pool and model of one row of tables."""
    random, sizes = np.random.default_rng(0), bench.sizes
    if name == "linear":
        features = torch.from_numpy(random.normal(size=(sizes.features, INSTANCES, 84)).astype(np.float32))
        return Case(features, make_vector_model(ModelConfig("linear"), 84, 0), features, lambda part: part)
    if name == "psla":
        form = ClipForm(frames=1056, mels=128, mean=-4.27, std=4.57)
        clips = torch.from_numpy(random.normal(size=(sizes.clips, form.frames, form.mels)).astype(np.float16))
        return Case(clips, make_clip_model(ModelConfig("psla"), form, 0), clips, lambda part: part)
    bags = sizes.images if name == "simple_cnn" else sizes.resnet_images
    pixels = random.integers(0, 256, (bags * INSTANCES, 3, 32, 32), np.uint8)
    images = Instances(np.zeros(len(pixels), np.int64), ("no", "yes"), in_memory=pixels)
    rows = np.arange(len(pixels), dtype=np.int64).reshape(bags, INSTANCES)
    pool = stack_bags(images, list(rows), np.zeros(bags, np.int64), "random")
    whole = torch.from_numpy(pixels).view(bags, INSTANCES, 3, 32, 32)

    def batch(part: Tensor) -> BagBatch:
        return BagBatch(part.flatten(0, 1), np.full(len(part), INSTANCES, dtype=np.int64))

    return Case(pool, make_model(ModelConfig(name), (3, 32, 32), 0), whole, batch)


def scoring_rows(name: str, bench: Bench) -> Iterator[Row]:
    """Rows of one model: bags read each round, then bags that stay on the GPU in all blocks and precisions, then compiled."""
    made, sizes = case(name, bench), bench.sizes
    ways: list[tuple[int | str, ScoringConfig]] = [("auto", ScoringConfig(sizes.precisions[0]))]
    ways += [
        (block, ScoringConfig(precision, resident=True)) for precision in sizes.precisions for block in sizes.blocks
    ]
    if not bench.pretend:
        ways += [
            ("auto", ScoringConfig(precision, compile=True, resident=True)) for precision in sizes.precisions[::-1]
        ]
    for block, scoring in ways:
        yield _row(made, bench, block, scoring)


def _row(made: Case, bench: Bench, block: int | str, scoring: ScoringConfig) -> Row:
    how = (scoring.precision, "yes" if scoring.compile else "no", "stay" if scoring.resident else "come each round")
    try:
        bags, found_block, busy = _sampler_rate(made, bench, block, scoring)
        bare = _bare_rate(made, bench, found_block, scoring)
    except (RuntimeError, ValueError, NegsiftError) as error:  # of this row only, say too little memory
        return (str(block), *how, str(error).splitlines()[0][:90].replace("|", "/"), "—", "—", "—")
    named = f"auto ({found_block})" if block == "auto" else str(block)
    return (named, *how, f"{bags:,.0f}", f"{bare:,.0f}", f"{bags / bare:.2f}", busy)


def _sampler_rate(made: Case, bench: Bench, block: int | str, scoring: ScoringConfig) -> tuple[float, int, str]:
    """Bags a second of a whole round of entropy, the bags of a block, and how busy the GPU was."""
    state = made.model.state_dict()
    weights = [{key: value * (1.0 + 1e-3 * step) if value.is_floating_point() else value for key, value in state.items()}
               for step in range(2)]  # fmt: skip
    options, turn = FleetConfig(kind="local", shards=1, block=block, cache_mb=0, scoring=scoring), iter(range(1 << 30))
    k = min(bench.sizes.k, len(made.whole) // 2)
    with (
        bench.scoring(),
        NegativeSampler(made.pool, made.model, strategy="entropy", k=k, options=options) as sampler,
        utilisation() as busy,
    ):
        spent = bench.seconds(lambda: sampler.select(weights[next(turn) % 2], 0))
        return len(made.whole) / spent, sampler.block, busy()


def _bare_rate(made: Case, bench: Bench, block: int, scoring: ScoringConfig) -> float:
    """Bags a second of a loop that a careful user would write, by the same model in the same precision."""
    model, whole = copy.deepcopy(made.model).to(bench.device).eval(), made.whole.to(bench.device)
    if scoring.compile:
        model.encoder.compile(dynamic=True)  # type: ignore[operator, union-attr]  # a module's
    half, k = scoring.precision == "bfloat16", min(bench.sizes.k, len(whole) // 2)

    def loop() -> Tensor:
        parts = []
        with torch.inference_mode(), bench.arithmetic(scoring.precision):
            for start in range(0, len(whole), block):
                with torch.autocast(bench.device.type, torch.bfloat16, enabled=half):
                    logits = model(made.batch(whole[start : start + block]))
                parts.append(torch.distributions.Categorical(logits=logits.float(), validate_args=False).entropy())
            return torch.cat(parts).topk(k).indices.cpu()

    return len(whole) / bench.seconds(loop)
