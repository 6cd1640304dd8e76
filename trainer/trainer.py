"""The steps of a training run, each one call of `fit`: choose, train, validate, record, stop, finish."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from negsift.common.data.split import Split
from negsift.common.errors import BadInput
from negsift.common.protocols import Sampler
from negsift.common.types import Selection
from negsift.trainer.augment import Augmented
from negsift.trainer.config import AugmentConfig, SamplingConfig, TrainingConfig
from negsift.trainer.folder import Json, RunFolder
from negsift.trainer.learner import Learner
from negsift.trainer.loader import Batches, epoch_order, epoch_set
from negsift.trainer.metrics import Metrics, bag_metrics
from negsift.trainer.progress import Progress
from negsift.trainer.selection_prefetch import SelectionPrefetch, as_arrays, as_tensors

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Materials:
    """What a run works with; `facts` go into its summary as they are."""

    split: Split
    learner: Learner
    sampler: Sampler
    folder: RunFolder
    facts: Json


@dataclass(frozen=True)
class Schedule:
    """How a run goes."""

    training: TrainingConfig
    sampling: SamplingConfig
    augment: AugmentConfig


class Trainer:
    """One run. Its state is saved after every epoch; a new Trainer on the same folder goes on from there."""

    def __init__(self, materials: Materials, schedule: Schedule, seed: int) -> None:
        self._with, self._seed = materials, seed
        self._training, self._sampling, self._augment = schedule.training, schedule.sampling, schedule.augment
        self._progress = Progress(np.zeros(len(materials.split.pool), dtype=np.bool_))
        self._ahead = SelectionPrefetch(materials.sampler, self._sampling, self._training.epochs)
        self._seconds: dict[str, float] = {}
        self._saved = 0
        self._resume()

    @property
    def saved(self) -> str:
        """What an interruption leaves, in words."""
        return self._with.folder.saved(self._saved)

    def epochs(self) -> Iterator[int]:
        """The epochs still to train; ends early when validation has stopped improving."""
        while self._progress.next_epoch < self._training.epochs and not self._stalled():
            self._seconds = {}
            yield self._progress.next_epoch

    def choose(self, epoch: int) -> Selection:
        """The epoch's negatives: new ones every `sampling.every` epochs, else the last ones again.

        Those of the `sampling.staleness` epochs to come are asked for, too, and made while this one trains.
        """
        weights, selection = self._with.learner.model.state_dict(), self._progress.selection
        with self._stage("select"):
            if epoch % self._sampling.every == 0 or selection is None:
                selection = self._ahead.choose(epoch, weights)
            self._ahead.ask(epoch, weights)
        return selection

    def train(self, epoch: int, selection: Selection) -> float:
        """One pass over all positives and the chosen negatives; the mean loss."""
        split, config = self._with.split, self._training
        with self._stage("train"):
            bags = epoch_set(split.positives, split.pool, selection)
            order = epoch_order(bags.bags.label, self._seed, epoch, config.weighted)
            plain = Batches(bags, order, config.batch, self._with.learner.share)
            mixed = Augmented(plain, self._augment, (self._seed, epoch))
            return self._with.learner.train(mixed if self._augment.wanted else plain, epoch)

    def validate(self) -> Metrics:
        """AP and ROC-AUC on the validation bags."""
        with self._stage("evaluate"):
            val = self._with.split.val
            return bag_metrics(self._with.learner.score(val), val.label)

    def record(self, epoch: int, selection: Selection, loss: float, val: Metrics) -> None:
        """Write the epoch down and save everything, so that a run killed after this goes on after this."""
        fresh = selection is not self._progress.selection
        stages = dict(selection.account.seconds) if fresh else {}
        seconds = stages | self._seconds | {"total": sum(self._seconds.values())}
        line = self._progress.record(epoch, selection, fresh, loss=loss, val=val, seconds=seconds)
        self._progress.keep_if_best(epoch, val, self._with.learner.model.state_dict())
        folder = self._with.folder
        folder.write_selection(epoch, selection, self._with.split.pool.bag_id(selection.index))
        folder.write_metrics(self._progress.history)
        folder.save(self._state())
        self._saved = self._progress.next_epoch
        log.info(epoch_line(line))

    def finish(self) -> Json:
        """Test the best and the last weights, write the summary and return it."""
        progress, learner, test = self._progress, self._with.learner, self._with.split.test
        with self._stage("evaluate"):
            last = bag_metrics(learner.score(test), test.label)
            learner.model.load_state_dict(progress.best_weights)
            best = bag_metrics(learner.score(test), test.label)
        summary = dict(self._with.facts)
        summary |= {"epochs_run": progress.next_epoch, "best_epoch": progress.best_epoch}
        summary |= {"val": progress.history[progress.best_epoch]["val"], "test": best, "last": last}
        summary |= {"bags": self._bags(), "seconds": progress.seconds()}
        summary["staleness"] = max(line["staleness"] for line in progress.history if line["fresh"])
        self._with.folder.write_json("summary.json", summary)
        return summary

    def _bags(self) -> dict[str, int]:
        split, history = self._with.split, self._progress.history
        trained = sum(len(split.positives) + line["chosen"] for line in history)
        return {
            "positive": len(split.positives), "pool": len(split.pool), "k": history[-1]["chosen"],
            "trained": trained, "scored": sum(line["scored"] for line in history),
        }  # fmt: skip

    def _stalled(self) -> bool:
        return self._progress.next_epoch - 1 - self._progress.best_epoch >= self._training.patience > 0 and bool(
            self._progress.history
        )

    def _state(self) -> Json:
        return {
            "progress": self._progress.state_dict(), "learner": self._with.learner.state_dict(),
            "sampler": as_tensors(self._with.sampler.state_dict()), "ahead": self._ahead.state(),
        }  # fmt: skip

    def _resume(self) -> None:
        state = self._with.folder.load()
        if state is None:
            return
        self._progress = Progress.from_state(state["progress"])
        if len(self._progress.picked) != len(self._with.split.pool):
            raise BadInput(
                f"a checkpoint of a pool of {len(self._progress.picked)} bags",
                f"{len(self._with.split.pool)}",
                "the data has changed: choose another --out",
            )
        self._with.learner.load_state_dict(state["learner"])
        self._ahead.resume(state["ahead"])
        self._with.sampler.load_state_dict(as_arrays(state["sampler"]))
        self._saved = self._progress.next_epoch
        log.info("going on after epoch %d", self._saved - 1)

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - start


def epoch_line(line: Json) -> str:
    """One epoch, for a person."""
    overlap = "" if line["overlap"] is None else f"overlap {line['overlap']:.0%}, "
    fewer = f"{line['considered']:,} considered, " if 0 < line["considered"] < line["pool"] else ""
    older = f"scores up to {line['oldest']} old, " if line["oldest"] else ""
    seconds, val = line["seconds"], line["val"]
    return (
        f"epoch {line['epoch']:2d}  {line['chosen']:,} of {line['pool']:,} negatives ({fewer}{older}{overlap}"
        f"covered {line['coverage']:.0%})  loss {line['loss']:.4f}  val AP {val['ap']:.4f} ROC-AUC {val['roc_auc']:.4f}"
        f"  {seconds['total']:.2f} s (select {seconds['select']:.2f}, train {seconds['train']:.2f})"
    )
