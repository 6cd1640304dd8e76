"""The steps of a training run, which `fit` calls in turn: choose, train, validate, record, finish."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from torch import Tensor

from negsift.common.data.protocols import LabelledBags
from negsift.common.errors import BadInput
from negsift.common.stage_timer import StageTimer
from negsift.common.types import Selection
from negsift.trainer.augment import augmented
from negsift.trainer.budget import FORWARDS, Budget
from negsift.trainer.epoch_positives import EpochPositives
from negsift.trainer.folder import CHECKPOINT, Json
from negsift.trainer.instances import record_instances
from negsift.trainer.kept_weights import needed_epochs
from negsift.trainer.learner import Learner
from negsift.trainer.loader import BatchShare, EpochBatches, epoch_order, epoch_set
from negsift.trainer.log_odds import with_offsets
from negsift.trainer.loggers.logger import RunLoggers
from negsift.trainer.metrics import Metrics, bag_metrics
from negsift.trainer.progress import Progress, epoch_line
from negsift.trainer.run_spec import RunSpec, TrainerConfig
from negsift.trainer.seen_logits import SeenLogits
from negsift.trainer.selection_inputs import SelectionInputs, as_arrays, as_tensors
from negsift.trainer.selection_prefetch import SelectionPrefetch
from negsift.trainer.worker_group import Rank0Folder, Rank0Sampler, WorkerGroup

log = logging.getLogger(__name__)


class Trainer:
    """One run, on one worker of `group`. Its state is saved after every epoch, and a new Trainer resumes it."""

    def __init__(self, spec: RunSpec, config: TrainerConfig, seed: int, group: WorkerGroup | None = None) -> None:
        group = group or WorkerGroup()
        self._split, self._facts, self._origin, self._offset = spec.split, spec.facts, spec.origin, spec.offset
        self._seed, self._group, self._budget = seed, group, Budget(config.training)
        self._training, self._sampling, self._augment = config.training, config.sampling, config.augment
        self._learner = Learner(spec.model, self._training, seed, group)
        self._share = BatchShare(group.rank, group.size)
        self._sampler, self._folder = Rank0Sampler(group, spec.sampler), Rank0Folder(spec.folder.path, group)
        positives, k = spec.split.positives, config.sampling.positives
        self._positives = EpochPositives(positives, k, seed, group, spec.choose_positives)
        self._progress = Progress(np.zeros(len(self._split.pool), dtype=np.bool_))
        self._prefetch = SelectionPrefetch(self._sampler, self._sampling, self._training.epochs)
        self._inputs: SelectionInputs | None = None
        self._timer = StageTimer()
        self._loggers = RunLoggers(() if group.rank else spec.loggers)
        self._saved = self._trained = self._scored_positives = 0
        self._margin = np.zeros(0)
        self._resume()

    @property
    def saved(self) -> str:
        """What is saved after an interruption, as a sentence."""
        return self._folder.saved(self._saved)

    def epochs(self) -> Iterator[int]:
        """The epochs that are left to train; they end early once validation stops improving, or the budget is spent."""
        self._loggers.open()
        while self._progress.next_epoch < self._training.epochs and not self._stopped():
            self._timer = StageTimer()
            yield self._progress.next_epoch

    def choose(self, epoch: int) -> Selection:
        """The epoch's negatives: a new selection every `sampling.every` epochs, else the previous one.

        Selections for the next `sampling.staleness` epochs are requested as well, and made while this epoch trains.
        """
        weights, selection = self._learner.model.state_dict(), self._progress.selection
        with self._timer.stage("select"):
            if epoch % self._sampling.every == 0 or selection is None:
                selection, self._inputs = self._prefetch.choose(epoch, weights)
            self._prefetch.request(epoch, weights)
        return selection

    def train(self, epoch: int, selection: Selection) -> float:
        """One pass over the epoch's positives and the chosen negatives, as far as the budget goes; the mean loss."""
        with self._timer.stage("select"):
            positives = self._positives.choose(epoch, self._learner.model.state_dict())
            positives, offset = with_offsets(positives, selection, self._offset, self._learner.score)
            self._scored_positives = positives.scored
        with self._timer.stage("train"):
            share = self._training.negative_share(len(self._split.positives), len(self._split.pool))
            bags = epoch_set(positives, self._split.pool, selection, share, offset)
            order = epoch_order(bags.bags.label, self._seed, epoch, self._training)
            spent = self._progress.spent
            scored = self._scored_for(selection) + positives.scored
            spent = replace(spent, bags=spent.bags + scored / FORWARDS)
            order = order[: self._budget.left(spent, len(order))]
            self._trained, span = len(order), self._budget.span(epoch, spent, len(order))
            batches = EpochBatches(bags, order, self._training.batch, self._share)
            seen = SeenLogits(len(positives.bags))
            augmented_batches = augmented(batches, self._augment, (self._seed, epoch), self._learner.device)
            loss = self._learner.train(augmented_batches, epoch, span, seen)
        self._remember(seen, selection, epoch)
        return loss

    def validate(self) -> Metrics:
        """AP and ROC-AUC on the validation bags."""
        with self._timer.stage("evaluate"):
            return self._score(self._split.val)

    def record(self, epoch: int, selection: Selection, loss: float, val: Metrics) -> None:
        """Record the epoch and save everything, so that a killed run resumes after this epoch."""
        fresh = selection is not self._progress.selection
        scoring = dict(selection.account.seconds) if fresh else {}
        own = scoring | self._timer.seconds | {"total": sum(self._timer.seconds.values())}
        seconds = self._group.on_rank0(lambda: own)  # by clocks of their own, workers would end at different epochs
        measured = {
            "loss": loss,
            "val": val,
            "seconds": seconds,
            "trained": self._trained,
            "scored_positives": self._scored_positives,
        }
        line = self._progress.record(epoch, selection, fresh, **measured)
        self._progress.keep_if_best(epoch, val, self._learner.model.state_dict())
        # The checkpoint comes last: an epoch that it contains has all its other files.
        self._keep_inputs(selection)
        ids = self._split.pool.bag_id(selection.index)
        self._folder.write_selection(epoch, selection, ids, self._margin, self._progress.made)
        self._folder.write_metrics(self._progress.history)
        self._folder.save(self._state())
        self._forget_weights()
        self._saved = self._progress.next_epoch
        facts = {"event": "epoch", "run": self._folder.path.resolve().name, "k": line["chosen"], **line}
        log.info(epoch_line(line), extra={"negsift": facts})
        self._loggers.log(line, epoch)

    def finish(self) -> Json:
        """Test the last and the best weights, and write and return the summary."""
        progress, history = self._progress, self._progress.history
        self._forget_weights()  # in case that it was stopped just before
        last = self._score(self._split.test)
        self._learner.model.load_state_dict(progress.best_weights)
        score, bags = self._learner.score(self._split.test), self._split.test
        trained = sum(line["trained"] for line in history)
        summary = self._facts | {
            "epochs_run": progress.next_epoch, "best_epoch": progress.best_epoch,
            "val": history[progress.best_epoch]["val"], "test": bag_metrics(score, bags.label), "last": last,
            "bags": {
                "positive": len(self._split.positives), "pool": len(self._split.pool),
                "descendants": self._split.descendants, "k": history[-1]["chosen"],
                "trained": trained, "scored": sum(line["scored"] for line in history),
            },
            "seconds": progress.seconds(),
            "staleness": max(line["staleness"] for line in history if line["fresh"]),
        } | record_instances(self._learner, bags, score, self._folder, self._group)  # fmt: skip
        self._loggers.log(summary_numbers(summary), progress.next_epoch)
        if self._loggers.failed:
            summary["failed_loggers"] = dict(self._loggers.failed)
        self._folder.write_json("summary.json", summary)
        return summary

    def close(self) -> None:
        """Close the loggers and the sampler of positives; the run is over, or was stopped."""
        self._loggers.close()
        self._positives.close()

    def _remember(self, seen: SeenLogits, selection: Selection, epoch: int) -> None:
        """Keep how positive training saw the negatives, and tell the sampler their logits if rounds go by them."""
        logits = seen.gathered(self._group)
        self._margin = logits.margin(len(selection.index))
        if self._sampling.score == "memory":
            self._sampler.remember(selection.index[logits.negative], logits.of_negatives, epoch)

    def _keep_inputs(self, selection: Selection) -> None:
        """Keep what a new selection was made from, and record its digests and the size of its blocks."""
        blocks = {"block": selection.account.block} if selection.account.block else {}
        inputs, self._inputs = self._inputs, None
        if inputs is not None:
            self._progress.made = self._group.on_rank0(lambda: inputs.digests() | self._origin | blocks)
            self._folder.write_inputs(inputs.epoch, inputs.state)

    def _forget_weights(self) -> None:
        """Remove the weights that are kept no longer."""
        needed = needed_epochs(self._training.keep_weights, self._progress.history, self._progress.best_epoch)
        self._group.on_rank0(lambda: self._folder.keep_inputs_of(needed))

    def _score(self, bags: LabelledBags) -> Metrics:
        return bag_metrics(self._learner.score(bags), bags.label)

    def _stopped(self) -> bool:
        """Whether validation has not improved for `patience` epochs, or the budget is spent."""
        since_best = self._progress.next_epoch - 1 - self._progress.best_epoch
        stalled = bool(self._progress.history) and since_best >= self._training.patience
        return stalled or self._budget.is_spent(self._progress.spent)

    def _scored_for(self, selection: Selection) -> int:
        """The bags scored for a selection, which count in the epoch that it was made for."""
        return 0 if selection is self._progress.selection else selection.account.scored

    def _state(self) -> Json:
        return {
            "progress": self._progress.state_dict(), "learner": self._learner.state_dict(),
            "sampler": as_tensors(self._sampler.state_dict()), "ahead": self._prefetch.state(),
            "positives": self._positives.state_dict(),
        }  # fmt: skip

    def _resume(self) -> None:
        state = self._folder.load()
        if state is None:
            return
        try:
            self._restore(state)
        except BadInput:
            raise
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise self._folder.damaged(CHECKPOINT, f"of another shape: {error!r}") from error
        self._folder.write_metrics(self._progress.history)  # whatever became of the file
        self._saved = self._progress.next_epoch
        log.info("resuming after epoch %d", self._saved - 1)
        for line in self._progress.history:
            self._loggers.log(line, line["epoch"])

    def _restore(self, state: Json) -> None:
        self._progress = Progress.from_state(state["progress"])
        if len(self._progress.picked) != len(self._split.pool):
            found, remedy = f"a checkpoint of a pool of {len(self._progress.picked)} bags", "choose another --out"
            raise BadInput(found, f"{len(self._split.pool)}", f"the data has changed: {remedy}")
        if self._progress.history and _shapes(self._progress.best_weights) != _shapes(self._learner.model.state_dict()):
            raise ValueError("the best weights are of another model")
        try:
            self._learner.load_state_dict(state["learner"])
        except RuntimeError as error:  # of tensors that don't fit; one of the next line says that a worker is lost
            raise ValueError(str(error)) from error
        try:
            self._positives.load_state_dict(state.get("positives", {}))
            self._prefetch.resume(state["ahead"])
            self._sampler.load_state_dict(as_arrays(state["sampler"]))
        except BadInput as error:
            raise ValueError(f"{error.found}, not {error.expected}") from error


def summary_numbers(summary: Json) -> Json:
    """What loggers get of a summary besides what epochs have: the results of the test, and the sums of all epochs."""
    return {name: summary[name] for name in ("test", "last", "best_epoch", "epochs_run", "bags")}


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in weights.items()}
