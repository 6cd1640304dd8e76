# %% [markdown]
# # The negatives of every epoch within Lightning's Trainer
# Bags of three handwritten digits; a bag is positive if it has a 3 in it. The callback fills the training dataset with
# the negatives that `badge` picks, once an epoch; Lightning's checkpoints hold what later selections depend on.

# %%
import lightning
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score
from torch.utils.data import DataLoader

from negsift import EpochBags, LightningSelection, NegativeSampler

images, digits = load_digits(return_X_y=True)
rows = np.random.default_rng(0).permutation(len(images)).reshape(-1, 3)
bags = torch.tensor(images[rows] / 16, dtype=torch.float32)  # (599, 3, 64)
label = torch.tensor((digits[rows] == 3).any(1))
train = torch.arange(len(bags)) < 400
positives, pool = bags[train & label], bags[train & ~label]


# %%
class Network(lightning.LightningModule):
    """The mean of the instances' logits, (N, 2)."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))

    def forward(self, bags):
        return self.layers(bags).mean(1)

    def training_step(self, batch, _):
        bags, label, weight = batch
        return (torch.nn.functional.cross_entropy(self(bags), label, reduction="none") * weight).mean()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 3e-3)


def validate():
    """AP on the bags left out of training."""
    with torch.inference_mode():
        logits = network(bags[~train])
    return float(average_precision_score(label[~train], logits[:, 1] - logits[:, 0]))


# %%
lightning.seed_everything(0, verbose=False)
network, epoch_bags = Network(), EpochBags(positives, pool, k=len(positives))
before = validate()
select = LightningSelection(epoch_bags, lambda net: NegativeSampler(pool, net, strategy="badge", k=len(positives)))
trainer = lightning.Trainer(
    max_epochs=8, callbacks=[select], accelerator="cpu", logger=False, enable_progress_bar=False
)
trainer.fit(network, DataLoader(epoch_bags, 16, shuffle=True))
assert validate() > before
