"""The strategies by name: one file each, one row each."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from negsift.common.config import AUTO, check_knobs, knob
from negsift.common.errors import BadInput, UnknownName
from negsift.common.types import Need
from negsift.service.strategies.badge import ENGINE_NAMES, Badge
from negsift.service.strategies.badge_filtered import BadgeFiltered
from negsift.service.strategies.base import Strategy
from negsift.service.strategies.cluster_margin import ClusterMargin
from negsift.service.strategies.entropy import Entropy
from negsift.service.strategies.full import Full
from negsift.service.strategies.gradient_embedding import GradientEmbedding
from negsift.service.strategies.ht_gumbel import MASSES, HtGumbel
from negsift.service.strategies.k_center import KCenter
from negsift.service.strategies.kl_embedding import KlEmbedding
from negsift.service.strategies.kl_prob import KlProb
from negsift.service.strategies.least_confidence import LeastConfidence
from negsift.service.strategies.margin import Margin
from negsift.service.strategies.random import Random
from negsift.service.strategies.svm_margin import SvmMargin
from negsift.service.strategies.walk import Walk

STRATEGIES: dict[str, type[Strategy]] = {
    "full": Full,
    "random": Random,
    "walk": Walk,
    "ht_gumbel": HtGumbel,
    "margin": Margin,
    "least_confidence": LeastConfidence,
    "entropy": Entropy,
    "gradient_embedding": GradientEmbedding,
    "badge": Badge,
    "badge_filtered": BadgeFiltered,
    "k_center": KCenter,
    "cluster_margin": ClusterMargin,
    "kl_prob": KlProb,
    "kl_embedding": KlEmbedding,
    "svm_margin": SvmMargin,
}


@dataclass(frozen=True)
class StrategyConfig:
    """Which negatives are wanted; each key but `name` is for the strategies that take it."""

    name: str = knob("random", "strategy: see `list`; auto: by ratio, budget and bags, in `train`, `sweep` and `plan`")
    label: str = knob("pseudo", "class that gradients are taken for: pseudo (the predicted one) or known")
    engine: str = knob("exact", "badge's k-means++: exact, or FAISS's on gathered gradients: faiss, faiss_afkmc2")
    first: str = knob("norm", "badge's first bag: norm (the largest gradient) or random")
    mass: str = knob("probability", f"ht_gumbel: what a bag's mass goes by: {', '.join(MASSES)}")
    power: float = knob(1.0, "ht_gumbel: power of that in a bag's mass", least=0, below=1e3)
    floor: float = knob(0.1, "ht_gumbel: least share of the largest mass that a bag has", above=0, below=1)
    keep: int = knob(10, "badge_filtered, cluster_margin: bags considered for each one chosen", least=1)

    def __post_init__(self) -> None:
        if self.name not in (*STRATEGIES, AUTO):
            raise UnknownName("strategy", self.name, (*STRATEGIES, AUTO))
        for key, known in CHOICES.items():
            if getattr(self, key) not in known:
                raise UnknownName(f"strategy.{key}", getattr(self, key), known)
        check_knobs(self, "strategy")


CHOICES: dict[str, Sequence[str]] = {
    "label": ("pseudo", "known"), "engine": ENGINE_NAMES, "first": ("norm", "random"), "mass": tuple(MASSES),
}  # fmt: skip


def make_strategy(config: StrategyConfig) -> Strategy:
    """The strategy that `config` names; raises BadInput for a key it doesn't take, and for AUTO, which is none."""
    if config.name == AUTO:
        raise UnknownName("strategy", config.name, STRATEGIES)
    kind = STRATEGIES[config.name]
    for key, value in asdict(config).items():
        if key != "name" and value != getattr(StrategyConfig(), key) and not takes(kind, key):
            taking = ", ".join(name for name, other in STRATEGIES.items() if takes(other, key))
            raise BadInput(f"strategy.{key}={value} with {config.name}", f"one of {taking}", f"leave {key} alone")
    return kind(**{key: value for key, value in asdict(config).items() if takes(kind, key)})


def takes(kind: type[Strategy], key: str) -> bool:
    """Whether a strategy has this key; the label only matters to those that look at gradients."""
    return key in {field.name for field in fields(kind)} and (key != "label" or kind.need == Need.GRADIENT)
