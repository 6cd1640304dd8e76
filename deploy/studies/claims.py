"""Claims of Shah et al. about resampling, aggregation and overfitting, and baselines that the paper lacks."""

from collections.abc import Mapping

from negsift.deploy.recipes import cifar10
from negsift.deploy.studies.table1 import CLASSES, table1
from negsift.deploy.sweep.study import Study
from negsift.trainer.results.claims import Claim, Evidence, Judgement, Key, Pair, all_above, same_within, win_most
from negsift.trainer.results.runs import ReportedRun
from negsift.trainer.results.versus import Values

_MARGIN = 0.01
_KEPT = "1000"
"""Epochs that a selection is kept, more than any run has."""
_SMALL = {"data.image_size": ("16",)}


def claims() -> Study:
    """The paper's claims on CIFAR-10 bags: those of table 1, resampling, aggregation, overfitting; and baselines.

    All by test AP at the best validation epoch, strategy random, P-N ratio 1, in 15 pairs of class and seed:

    - "Resampling each epoch or every three epochs: no significant differences": the interval (95 %) of the difference
      lies within ±.01. Not confirmed if it lies outside; else undecided.
    - "MeanPooling followed by Softmax consistently yielded the best performance": it is above Softmax-Mean and
      Softmax-Max, sign-flip p ≤ .05 after Holm. Attention pooling, which the paper does not have, is judged beside it.
    - "Overfitting issues with ResNet18": on classes 0 and 1, one seed, its training loss ends below SimpleCNN's, and
      its last test AP lies further below its best epoch's than SimpleCNN's does. With two pairs this can only be
      "not confirmed" (one pair disagrees) or "undecided" (both agree). Both models see images of 16x16 pixels: at
      32x32 an epoch of ResNet18 takes ten to twenty minutes of a core.

    The baselines: one random draw kept for all epochs; random without replacement over epochs (walk, RS2); the full
    set stopped after as many gradient steps as random takes.
    """
    same = {"data.target": CLASSES, "strategy.name": ("random",)}
    grids = [
        *table1().grids,
        same | {"sampling.every": ("3", _KEPT)},
        same | {"model.pooling": ("softmax_mean", "softmax_max", "attention")},
        same | {"strategy.name": ("walk",)},
        same | {"strategy.name": ("full",), "training.epochs": ("4",)},  # 9,000 bags an epoch, random has 3,000
        {"data.target": ("0", "1"), "model.name": ("resnet18", "simple_cnn"), "seed": ("0",)} | _SMALL,
    ]
    return Study("claims", cifar10(), grids, seeds=3, claims=(*table1().claims, *CLAIMS))


def _random(evidence: Evidence, changed: Mapping[str, str] | None = None, key: Key = "test.ap") -> Values:
    """The runs of random, with some settings changed."""
    return evidence.values({"strategy.name": "random", **(changed or {})}, key)


def _resampling(evidence: Evidence) -> Judgement:
    third = _random(evidence, {"sampling.every": "3"})
    return same_within(_MARGIN, Pair("every third epoch", third, _random(evidence)))


def _aggregation(evidence: Evidence) -> Judgement:
    return all_above([_mean_softmax_over(evidence, other) for other in ("softmax_mean", "softmax_max")])


def _attention(evidence: Evidence) -> Judgement:
    return all_above([_mean_softmax_over(evidence, "attention")])


def _mean_softmax_over(evidence: Evidence, other: str) -> Pair:
    return Pair(f"mean_softmax over {other}", _random(evidence), _random(evidence, {"model.pooling": other}))


def _overfits(evidence: Evidence) -> Judgement:
    pairs = (("lower training loss", _final_gain), ("larger fall of test AP", _fall))
    large, small = ({"model.name": name, "data.image_size": "16"} for name in ("resnet18", "simple_cnn"))
    return win_most([Pair(name, _random(evidence, large, key), _random(evidence, small, key)) for name, key in pairs])


def _final_gain(run: ReportedRun) -> float:
    return -run.epochs[-1].values["loss"]


def _fall(run: ReportedRun) -> float:
    return run.result("test.ap") - run.result("last.ap")


def _kept_draw(evidence: Evidence) -> Judgement:
    kept = _random(evidence, {"sampling.every": _KEPT})
    return all_above([Pair("a fresh draw over one kept", _random(evidence), kept)])


def _walk(evidence: Evidence) -> Judgement:
    return all_above([Pair("walk over random", evidence.values({"strategy.name": "walk"}), _random(evidence))])


def _equal_steps(evidence: Evidence) -> Judgement:
    full = evidence.values({"strategy.name": "full", "training.epochs": "4"})
    return all_above([Pair("full for 4 epochs over random for 12", full, _random(evidence))])


CLAIMS = (
    Claim("Resampling every third epoch is no different from every epoch", _resampling),
    Claim("Mean, then softmax, is the best aggregation", _aggregation),
    Claim("Mean, then softmax, is better than attention (not in the paper)", _attention),
    Claim("ResNet18 overfits", _overfits),
    Claim("A fresh draw each epoch is better than one draw kept (not in the paper)", _kept_draw),
    Claim("Random without replacement over epochs is better than with (not in the paper)", _walk),
    Claim("The full set is better at equal gradient steps (not in the paper)", _equal_steps),
)
