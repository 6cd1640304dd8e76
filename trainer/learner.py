"""A model with its optimiser: one epoch of training, and scores of bags; alone or with other workers."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from negsift.common.arrays import Floats
from negsift.common.errors import BadInput
from negsift.common.protocols import Bags
from negsift.common.rng import stream_key
from negsift.trainer.config import TrainingConfig
from negsift.trainer.loader import Batch, BatchShare
from negsift.trainer.team import Team


class Learner:
    """Trains `model` with Adam on the cross-entropy of bag logits; each worker of a team its share of every batch.

    With `freeze` the model's `encoder` is left alone.
    """

    def __init__(self, model: nn.Module, config: TrainingConfig, seed: int, team: Team | None = None) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._seed, self._config, self._team = seed, config, team or Team()
        self._backbone: nn.Module | None = model.get_submodule("encoder") if config.freeze else None
        if self._backbone is not None:
            self._backbone.requires_grad_(False)
        self.model: nn.Module = self._team.prepared(model.to(self.device))
        self._trained = self._team.joined(self.model)
        self._role = f"train/{self._team.rank}" if self._team.rank else "train"  # each its own dropout
        betas = (config.beta1, config.beta2)
        self._optimiser = torch.optim.Adam(model.parameters(), config.lr, betas, weight_decay=config.weight_decay)

    @property
    def share(self) -> BatchShare:
        """The part of every batch that is to be trained here."""
        return BatchShare(self._team.rank, self._team.size)

    def train(self, batches: Iterable[Batch], epoch: int) -> float:
        """One pass over the batches; the mean loss of a bag, over all workers.

        Torch's generator is seeded from (seed, epoch) and restored, so that a resumed run sees the
        same dropout. Raises BadInput once the loss is not finite.
        """
        self.model.train()
        if self._backbone is not None:
            self._backbone.eval()  # statistics of its BatchNorm stay, too
        for group in self._optimiser.param_groups:
            group["lr"] = self._config.learning_rate(epoch)
        total, bags = 0.0, 0.0
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(stream_key(self._seed, self._role, epoch) >> 1)
            for batch in tqdm(batches, f"epoch {epoch}", disable=None, leave=False, unit="batch", delay=1):
                counts = len(batch.label) if batch.counts is None else batch.counts
                total, bags = total + self._step(batch) * counts, bags + counts
        loss = self._team.mean(total / bags)
        if not math.isfinite(loss):
            raise BadInput(f"a loss of {loss} in epoch {epoch}", "a finite loss", "lower --set training.lr")
        return loss

    def score(self, bags: Bags) -> Floats:
        """How positive every bag is: the difference of its two logits, (n,); BadInput if one is not finite.

        One worker of a team does it.
        """
        return self._team.agree(lambda: self._score(bags))

    def state_dict(self) -> dict[str, Any]:  # Any: torch's own state dicts
        """Weights and optimiser."""
        return {"model": self.model.state_dict(), "optimiser": self._optimiser.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # Any: as above
        """Go on from a `state_dict`."""
        self.model.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])

    def _score(self, bags: Bags) -> Floats:
        self.model.eval()
        size, parts = self._config.evaluation_batch, []
        with torch.inference_mode():
            for start in tqdm(
                range(0, len(bags), size), "evaluating", disable=None, leave=False, unit="batch", delay=1
            ):
                index = np.arange(start, min(start + size, len(bags)))
                logits = self.model(bags.gather(index).to(self.device)).double()
                parts.append((logits[:, 1] - logits[:, 0]).cpu().numpy())
        scores = np.concatenate(parts)
        if not np.isfinite(scores).all():
            found = f"{(~np.isfinite(scores)).sum()} of {len(scores)} bag scores not finite"
            raise BadInput(found, "finite scores", "training diverged: lower --set training.lr")
        return scores

    def _step(self, batch: Batch) -> float:
        label, weight = batch.label.to(self.device), batch.weight.to(self.device)
        wanted = torch.stack([1 - label, label], 1) if label.is_floating_point() else label
        with torch.autocast(self.device.type, torch.bfloat16, self._config.mixed_precision and label.is_cuda):
            logits = self._trained(batch.bags.to(self.device))
        losses = cross_entropy(logits.float(), wanted, reduction="none")
        loss = (losses * weight).mean()
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._optimiser.step()
        return float(loss.detach())
