"""A user's program: attaches to a service, trains a little in its own way, prints its selections as JSON."""

import json
import sys

import torch
from torch import Tensor, nn

from negsift.common.models.bag import BagClassifier
from negsift.common.models.pooling import make_pooling
from negsift.service import NegativeSampler, attach

EPOCHS, K = 4, 12


class Own(nn.Module):
    """An encoder that no cluster has the code of."""

    def __init__(self, wide: int) -> None:
        super().__init__()
        self.first = nn.Linear(6, wide)

    def forward(self, instances: Tensor) -> Tensor:
        return self.first(instances).tanh()


def network(wide: int) -> BagClassifier:
    torch.manual_seed(wide)
    return BagClassifier(Own(wide), nn.Linear(wide, 2), make_pooling("mean_softmax", wide))


def run(sampler: NegativeSampler, wide: int) -> list[list[float]]:
    """The picks and their scores of a few epochs; the weights change in between."""
    picks, model = [], network(wide)
    for epoch in range(EPOCHS):
        chosen = sampler.select(model.state_dict(), epoch)
        picks.append([*chosen.index.tolist(), *chosen.score.tolist()])
        with torch.no_grad():
            for value in model.parameters():
                value.mul_(1.25)
    return picks


if __name__ == "__main__":
    label, strategy, wide = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with attach("birds", network(wide), target_label=label, strategy=strategy, k=K, task=f"{label}-run") as sampler:
        sys.stdout.write("attached\n")
        sys.stdout.flush()
        sys.stdin.readline()
        sys.stdout.write(json.dumps(run(sampler, wide)))
