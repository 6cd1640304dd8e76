# %% [markdown]
# # The negatives of every epoch within Hugging Face's Trainer, from a `datasets.Dataset`
# Bags of three handwritten digits; a bag is positive if it has a 3 in it. The callback fills the training dataset with
# the negatives that `badge` picks, once an epoch; `trainer_state.json` holds what later selections depend on.

# %%
import datasets
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score
from torch.nn.functional import cross_entropy
from transformers import Trainer, TrainingArguments, default_data_collator

from negsift import EpochBags, HuggingFaceSelection, NegativeSampler

images, digits = load_digits(return_X_y=True)
rows = np.random.default_rng(0).permutation(len(images)).reshape(-1, 3)
columns = {"features": (images[rows] / 16).astype(np.float32).tolist(), "label": (digits[rows] == 3).any(1).astype(int)}
data = datasets.Dataset.from_dict(columns).train_test_split(199, shuffle=False)
positives, pool = (data["train"].filter(lambda bag, kind=kind: bag["label"] == kind) for kind in (1, 0))


# %%
class Network(torch.nn.Module):
    """The mean of the instances' logits, (N, 2), and the loss."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))

    def forward(self, features, labels=None, weight=None):
        logits = self.layers(features).mean(1)
        loss = 0.0 if weight is None else (cross_entropy(logits, labels, reduction="none") * weight).mean()
        return {"loss": loss, "logits": logits}


def validate():
    """AP on the bags left out of training."""
    test = data["test"].with_format("torch")
    with torch.inference_mode():
        logits = network(test["features"][:])["logits"]
    return float(average_precision_score(test["label"][:], logits[:, 1] - logits[:, 0]))


# %%
torch.manual_seed(0)
network, epoch_bags = Network(), EpochBags(positives, pool, k=len(positives))
select = HuggingFaceSelection(
    epoch_bags,
    lambda net: NegativeSampler(pool, net, strategy="badge", k=len(positives), collate=default_data_collator),
)
arguments = TrainingArguments(
    "trained", num_train_epochs=8, per_device_train_batch_size=16, learning_rate=3e-3, lr_scheduler_type="constant",
    use_cpu=True, report_to=[], disable_tqdm=True,
)  # fmt: skip
before = validate()
Trainer(network, arguments, train_dataset=epoch_bags, callbacks=[select]).train()
assert validate() > before
