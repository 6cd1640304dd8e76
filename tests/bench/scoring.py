"""SimpleCNN's scoring of decoded images, images a CPU second on one thread, in turns.

    python -m tests.bench.scoring [--images 20000] [--turns 9] [--out FILE]

`two layers` is the network with its first convolution and pooling apart. Results go to tests/bench/scoring.md.
"""

import argparse
import copy
import logging
import os
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from negsift.common.data.bagset import BagBatch
from negsift.common.models.bag import BagClassifier
from negsift.common.models.config import ModelConfig
from negsift.common.models.encoders import make_model
from negsift.common.types import EmbeddingSpec, Need
from negsift.service.scoring.model_layout import prepare_model
from negsift.service.scoring.scoring_config import ScoringConfig
from tests.bench.pools_in_memory import heading

log = logging.getLogger(__name__)
BAG, BLOCK = 5, 64
LIMIT = [
    "To reach was 30,000. By `torch.profiler`, 59 % of what is left is oneDNN's convolutions: the first computes 32 channels to",
    "give 24. Parts of a block (32, 64 or 160 images at a time) were slower, `channels_last` changes nothing.",
]


def two_layers(model: BagClassifier) -> BagClassifier:
    """The same network, its first convolution and its pooling each a layer."""
    other = copy.deepcopy(model)
    body = other.encoder.get_submodule("1")
    assert isinstance(body, nn.Sequential)
    conv = nn.Conv2d(3, 6, 5)
    conv.load_state_dict(body[0].state_dict())
    body[0], body[1] = conv, nn.MaxPool2d(2)
    return other


def embed(model: BagClassifier, images: Tensor) -> Tensor:
    """The logits of bags of five images, block by block."""
    step, parts = BAG * BLOCK, []
    with torch.inference_mode():
        for start in range(0, len(images), step):
            block = images[start : start + step]
            bags = BagBatch(block, np.full(len(block) // BAG, BAG, dtype=np.int64))
            found = model.embed(bags, np.arange(len(bags), dtype=np.int64), EmbeddingSpec(Need.LOGITS))
            parts.append(torch.from_numpy(np.array(found.logits)))
    return torch.cat(parts)


def main() -> None:
    """Measure in turns and write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
    torch.set_num_threads(1)
    torch.manual_seed(0)
    images = torch.randint(0, 256, (options.images, 3, 32, 32), dtype=torch.uint8)
    model = make_model(ModelConfig(), (3, 32, 32), seed=0).eval()
    ways = {
        "two layers": two_layers(model),
        "by default": model,
        "fleet.scoring.compile=true": prepare_model(copy.deepcopy(model), ScoringConfig(compile=True)),
    }
    logits = {name: embed(way, images) for name, way in ways.items()}  # which also compiles
    rates = {name: list[float]() for name in ways}
    for _ in range(options.turns):
        for name, way in ways.items():
            start = time.process_time()
            embed(way, images)
            rates[name].append(len(images) / (time.process_time() - start))
    lines = [
        "# Scoring decoded images by SimpleCNN", "",
        f"{heading()}; {options.images:,} images of 3x32x32 in bags of {BAG}, blocks of {BLOCK} bags; one thread, CPU time, "
        f"{options.turns} turns; `python -m tests.bench.scoring`", "",
        "| way | images a CPU second, median (most) | times two layers, median of the turns | same logits |", "|---|---|---|---|",
    ]  # fmt: skip
    for name, values in rates.items():
        gain = median(value / by for value, by in zip(values, rates["two layers"], strict=True))
        same = "yes" if torch.equal(logits[name], logits["two layers"]) else "to the last bits"
        lines.append(f"| {name} | {median(values):,.0f} ({max(values):,.0f}) | {gain:.2f} | {same} |")
        log.info(lines[-1])
    lines += ["", *LIMIT]
    options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
