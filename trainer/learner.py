"""A model with its optimiser: one epoch of training, and scores of bags; for one worker or several."""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from negsift.common.arrays import Floats, Index
from negsift.common.data.protocols import LabelledBags
from negsift.common.errors import BadInput
from negsift.common.gpu_arithmetic import AS_SET, gpu_arithmetic
from negsift.common.models.bag import BagClassifier
from negsift.common.models.compiling import compile_backbone
from negsift.common.out_of_memory import memory_told
from negsift.common.rng import stream_key
from negsift.common.threads import torch_threads
from negsift.trainer.ahead import prepared_ahead
from negsift.trainer.config import TrainingConfig
from negsift.trainer.loader import TrainingBatch
from negsift.trainer.loss import BagLoss
from negsift.trainer.optimiser import Optimiser
from negsift.trainer.seen_logits import SeenLogits
from negsift.trainer.worker_group import WorkerGroup


class Batches(Protocol):
    """The batches of one pass, and how many there are."""

    def __len__(self) -> int:
        """Their number."""

    def __iter__(self) -> Iterator[TrainingBatch]:
        """One after another."""


class Learner:
    """Trains `model` on the loss of bags and instances; each worker trains on its share of every batch.

    With `config.freeze` the model's `encoder` is not trained.
    """

    def __init__(
        self, model: nn.Module, config: TrainingConfig, seed: int, group: WorkerGroup | None = None,
        device: torch.device | None = None,
    ) -> None:  # fmt: skip
        """On `device`, by default a GPU if there is one."""
        self.device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._seed, self._config, self._group = seed, config, group or WorkerGroup()
        self._backbone: nn.Module | None = model.get_submodule("encoder") if config.freeze else None
        if self._backbone is not None:
            self._backbone.requires_grad_(False)
        self.model: nn.Module = self._group.prepare(model.to(self.device))
        if config.compile:
            compile_backbone(self.model.get_submodule("encoder"), "training.compile")
        self._loss = self._group.wrap(BagLoss(self.model, config))
        self._role = f"train/{self._group.rank}" if self._group.rank else "train"  # so that ranks differ in dropout
        self._optimiser = Optimiser(model, config)

    def train(
        self, batches: Batches, epoch: int, span: tuple[float, float] = (0.0, 1.0), seen: SeenLogits | None = None
    ) -> float:
        """One pass over the batches; returns the mean loss of a bag over all workers, and adds logits to `seen`.

        The pass is the part of the run between the two shares of `span`, which a linear schedule goes by. Torch's
        generator is seeded from (seed, epoch) and restored, so that a resumed run has the same dropout. Raises BadInput
        if the loss is not finite.
        """
        self.model.train()
        if self._backbone is not None:
            self._backbone.eval()  # else BatchNorm would update its running statistics
        total, bags = torch.zeros((), dtype=torch.float64, device=self.device), 0.0
        devices = [self.device] if self.device.type == "cuda" else []
        with torch_threads(self._config.threads), torch.random.fork_rng(devices):
            torch.manual_seed(stream_key(self._seed, self._role, epoch) >> 1)
            prepared, options = self._prepared(batches), {"disable": None, "leave": False, "unit": "batch", "delay": 1}
            shown = tqdm(prepared, f"epoch {epoch}", len(batches), **options)
            for number, batch in enumerate(shown):
                done = span[0] + (span[1] - span[0]) * number / len(batches)
                count = len(batch.label) if batch.bag_count is None else batch.bag_count
                with memory_told(f"a training batch of {len(batch.label)} bags", "training.batch"):
                    loss, logits_NK = self._step(batch, self._config.learning_rate(epoch, done))
                total, bags = total + loss * count, bags + count
                if seen is not None:
                    seen.add(batch, logits_NK)
        mean = self._group.mean(float(total) / bags)  # read once: each time the device would have to finish
        if not math.isfinite(mean):
            raise BadInput(f"a loss of {mean} in epoch {epoch}", "a finite loss", "lower training.lr")
        return mean

    def score(self, bags: LabelledBags) -> Floats:
        """The difference of each bag's two logits, (n,), from rank 0. Raises BadInput if one is not finite."""
        return self._group.on_rank0(lambda: self._score(bags))

    def score_instances(self, bags: LabelledBags, index: Index) -> list[Floats]:
        """The difference of the two logits of each instance of some bags, (instances,) each; of a BagClassifier."""
        assert isinstance(self.model, BagClassifier)
        self.model.eval()
        most, parts = self._config.evaluation_batch, list[Floats]()
        with torch_threads(self._config.threads), torch.inference_mode():
            for start in range(0, len(index), most):
                outputs = self.model.outputs(bags.gather(index[start : start + most]).to(self.device))
                sizes = outputs.mask.sum(1).long().tolist()
                margins = outputs.margins.double().cpu().numpy()
                parts += [score_n[:size] for score_n, size in zip(margins, sizes, strict=True)]
        return parts

    def state_dict(self) -> dict[str, Any]:  # Any: torch's own state dicts
        """The state of the model and of the optimiser."""
        return {"model": self.model.state_dict(), **self._optimiser.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # Any: as above
        """Continue from a `state_dict`."""
        self.model.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state)

    def _score(self, bags: LabelledBags) -> Floats:
        self.model.eval()
        size, parts = self._config.evaluation_batch, list[Tensor]()
        with torch_threads(self._config.threads), torch.inference_mode():
            starts = range(0, len(bags), size)
            for start in tqdm(starts, "evaluating", disable=None, leave=False, unit="batch", delay=1):
                index = np.arange(start, min(start + size, len(bags)))
                told = memory_told(f"an evaluation batch of {len(index)} bags", "training.evaluation_batch")
                with told, self._in_turn(), self._autocast():
                    logits_NK = self.model(bags.gather(index).to(self.device)).double()
                # The difference in float64: two large logits would cancel in float32.
                parts.append(logits_NK[:, 1] - logits_NK[:, 0])
            scores: Floats = torch.cat(parts).cpu().numpy()
        if not np.isfinite(scores).all():
            found = f"{(~np.isfinite(scores)).sum()} of {len(scores)} bag scores not finite"
            raise BadInput(found, "finite scores", "training diverged: lower training.lr")
        return scores

    def _step(self, batch: TrainingBatch, rate: float) -> tuple[Tensor, Tensor]:
        """The loss, float64, and the logits (n, K), on the device, which is not waited for."""
        label, weight = (part.to(self.device, non_blocking=True) for part in (batch.label, batch.weight))
        with self._in_turn():
            with self._autocast():
                offset = None if batch.offset is None else batch.offset.to(self.device, non_blocking=True)
                loss_N, logits_NK = self._loss(batch.bags.to(self.device, non_blocking=True), label, offset)
            loss = (loss_N * weight).mean()
            self._optimiser.step(loss, rate)
        return loss.detach().double(), logits_NK.detach()

    def _in_turn(self) -> AbstractContextManager[None]:
        """Within it shards of this process do not change how a GPU computes."""
        return gpu_arithmetic(AS_SET) if self.device.type == "cuda" else nullcontext()

    def _autocast(self) -> torch.autocast:
        """Within it a forward pass is in the configured precision."""
        on_gpu = self.device.type == "cuda"
        return torch.autocast(self.device.type, torch.bfloat16, self._config.mixed_precision and on_gpu)

    def _prepared(self, batches: Batches) -> Iterator[TrainingBatch]:
        """The batches; on a GPU in page-locked memory, and prepared while it trains on earlier ones."""
        return prepared_ahead(iter(batches), pinned) if self.device.type == "cuda" else iter(batches)


def pinned(tensor: Tensor) -> Tensor:
    """The tensor in page-locked memory, unless it is on a device."""
    return tensor if tensor.device.type != "cpu" else tensor.pin_memory()
