"""Table 1 of Shah et al.: the strategies on CIFAR-10 image bags, and what the paper says of them."""

from collections.abc import Mapping, Sequence

from negsift.deploy.recipes import cifar10
from negsift.deploy.sweep.study import Study
from negsift.trainer.results.claims import Claim, Evidence, Judgement, Key, Pair, all_above, win_most
from negsift.trainer.results.cost import TARGET_SHARE, cost_until
from negsift.trainer.results.estimate import estimate
from negsift.trainer.results.outcome import Printed
from negsift.trainer.results.runs import ReportedRun
from negsift.trainer.results.versus import Values

CLASSES = ("0", "1", "3", "5", "8")
"""The paper has classes 0 and 1, airplane and automobile; cat, dog and ship are added."""
SELECTING = ("random", "margin", "entropy", "gradient_embedding", "badge", "kl_prob", "kl_embedding", "svm_margin")
"""Least confidence orders bags of two classes as entropy does, so it has no run of its own."""
_TABLE: Mapping[str, Sequence[float]] = {
    "full": (0.88, 0.95, 0.93, 0.97), "random": (0.82, 0.93, 0.87, 0.95), "entropy": (0.81, 0.92, 0.82, 0.93),
    "badge": (0.85, 0.94, 0.87, 0.95), "kl_embedding": (0.83, 0.93, 0.89, 0.95),
    "gradient_embedding": (0.83, 0.93, 0.84, 0.94), "svm_margin": (0.87, 0.95, 0.87, 0.95),
}  # fmt: skip
_CELLS = (("0", "test.ap"), ("0", "test.roc_auc"), ("1", "test.ap"), ("1", "test.roc_auc"))
PRINTED = tuple(
    Printed(name, target, key, value)
    for name, row in _TABLE.items() for (target, key), value in zip(_CELLS, row, strict=True)
)  # fmt: skip
"""What the paper prints of classes 0 and 1. Margin and KL-prob have no row; least confidence equals entropy."""


def table1() -> Study:
    """Table 1 of the paper: five classes, three seeds; the full set, and eight strategies at P-N ratios 1 and 5.

    Its sentences are judged at ratio 1, where all strategies have enough negatives, by test AP at the best validation
    epoch, in 15 pairs of class and seed:

    - "BADGE, SVM-Margin, and KL-prob can beat random sampling most of the time": each wins more than half of the
      pairs, one-sided p ≤ .05 after Holm over the three. Not confirmed if one wins at most half.
    - "gradient embedding and BADGE sampling strategies consistently outperform random, margin, and entropy": all six
      mean differences are above 0, sign-flip p ≤ .05 after Holm. Not confirmed if one is below 0 with that p.
    - "reduces the computational cost compared to random": gradient embedding, BADGE, KL-prob and SVM-margin each need
      fewer trainings of a bag (scoring one counts a third) until validation AP is 95 % of random's mean best on that
      class, in more than half of the pairs, with p as above. A run that does not get there needs infinitely many.
    - "converge faster": the same four have their best validation epoch earlier than random, in the same sense.
    """
    full = {"data.target": CLASSES, "strategy.name": ("full",)}
    selecting = {"data.target": CLASSES, "sampling.ratio": ("1", "5"), "strategy.name": SELECTING}
    return Study("table1", cifar10(), [full, selecting], 3, CLAIMS, PRINTED)


def _beat_random(evidence: Evidence) -> Judgement:
    beating = [_against_random(evidence, name) for name in ("badge", "svm_margin", "kl_prob")]
    return win_most(beating)


def _gradients_outperform(evidence: Evidence) -> Judgement:
    others = ("random", "margin", "entropy")
    return all_above([
        Pair(f"{name} over {other}", _values(evidence, name), _values(evidence, other))
        for name in ("gradient_embedding", "badge") for other in others
    ])  # fmt: skip


def _cost_less(evidence: Evidence) -> Judgement:
    best = _values(evidence, "random", lambda run: run.highest("val.ap"))
    targets = {block.data for block in best}
    goal = {data: TARGET_SHARE * estimate(v for b, v in best.items() if b.data == data).mean for data in targets}

    def saved(run: ReportedRun) -> float:
        """Less is better, and infinity is as bad as it gets."""
        return -min(cost_until(run, goal.get(run.settings["data.target"], 2.0))[0], 1e12)

    return win_most([_against_random(evidence, name, saved) for name in _SCORING])


def _converge_faster(evidence: Evidence) -> Judgement:
    return win_most([_against_random(evidence, name, lambda run: -run.result("best_epoch")) for name in _SCORING])


def _against_random(evidence: Evidence, name: str, key: Key = "test.ap") -> Pair:
    return Pair(name, _values(evidence, name, key), _values(evidence, "random", key))


def _values(evidence: Evidence, name: str, key: Key = "test.ap") -> Values:
    return evidence.values({"strategy.name": name}, key)


_SCORING = ("gradient_embedding", "badge", "kl_prob", "svm_margin")
CLAIMS = (
    Claim("BADGE, SVM-margin and KL-prob beat random most of the time", _beat_random),
    Claim("Gradient embedding and BADGE consistently outperform random, margin and entropy", _gradients_outperform),
    Claim("Selecting costs less than random until the AP that random reaches", _cost_less),
    Claim("Selecting converges in fewer epochs than random", _converge_faster),
)
