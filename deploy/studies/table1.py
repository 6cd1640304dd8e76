"""Table 1 of Shah et al.: the strategies on CIFAR-10 image bags."""

from negsift.deploy.recipes import cifar10
from negsift.deploy.sweep.study import Study

CLASSES = ("0", "1", "3", "5", "8")
"""The paper has classes 0 and 1, airplane and automobile; cat, dog and ship are added."""
SELECTING = ("random", "margin", "entropy", "gradient_embedding", "badge", "kl_prob", "kl_embedding", "svm_margin")
"""Least confidence orders bags of two classes as entropy does, so it has no run of its own."""


def table1() -> Study:
    """Table 1 of the paper: five classes, three seeds; the full set, and eight strategies at P-N ratios 1 and 5."""
    full = {"data.target": CLASSES, "strategy.name": ("full",)}
    selecting = {"data.target": CLASSES, "sampling.ratio": ("1", "5"), "strategy.name": SELECTING}
    return Study("table1", cifar10(), [full, selecting], seeds=3)
