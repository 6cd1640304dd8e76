# %% [markdown]
# # The negatives of every epoch in a PyTorch loop of one's own
# Bags of three handwritten digits; a bag is positive if it has a 3 in it. Most bags are negative, and each epoch trains
# on as many of them as there are positives: those that `badge` picks with the weights of the moment.

# %%
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from negsift import EpochBags, NegativeSampler

images, digits = load_digits(return_X_y=True)
rows = np.random.default_rng(0).permutation(len(images)).reshape(-1, 3)
bags = torch.tensor(images[rows] / 16, dtype=torch.float32)  # (599, 3, 64)
label = torch.tensor((digits[rows] == 3).any(1))
train = torch.arange(len(bags)) < 400
positives, pool = bags[train & label], bags[train & ~label]


# %%
class Network(torch.nn.Sequential):
    """The mean of the instances' logits, (N, 2)."""

    def forward(self, bags: torch.Tensor) -> torch.Tensor:
        return super().forward(bags).mean(1)


def validate() -> float:
    """AP on the bags left out of training."""
    with torch.inference_mode():
        logits = network(bags[~train])
    return float(average_precision_score(label[~train], logits[:, 1] - logits[:, 0]))


torch.manual_seed(0)
network = Network(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))
optimiser = torch.optim.Adam(network.parameters(), 3e-3)

# %%
epoch_bags = EpochBags(positives, pool, k=len(positives))
loader = DataLoader(epoch_bags, 16, shuffle=True)
before = validate()
with NegativeSampler(pool, network, strategy="badge", k=len(positives)) as sampler:
    for epoch in range(8):
        epoch_bags.refresh(sampler.select(network.state_dict(), epoch))
        for batch, target, weight in loader:
            loss = (cross_entropy(network(batch), target, reduction="none") * weight).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
after = validate()
assert after > before, (before, after)
