"""The strategies by name: one file each, one row each."""

from dataclasses import dataclass

from common.config import knob
from common.errors import BadInput, UnknownName
from common.types import Need
from service.strategies.badge import Badge
from service.strategies.base import Strategy
from service.strategies.entropy import Entropy
from service.strategies.full import Full
from service.strategies.gradient_embedding import GradientEmbedding
from service.strategies.kl_embedding import KlEmbedding
from service.strategies.kl_prob import KlProb
from service.strategies.least_confidence import LeastConfidence
from service.strategies.margin import Margin
from service.strategies.random import Random
from service.strategies.svm_margin import SvmMargin

STRATEGIES: dict[str, type[Strategy]] = {
    "full": Full,
    "random": Random,
    "margin": Margin,
    "least_confidence": LeastConfidence,
    "entropy": Entropy,
    "gradient_embedding": GradientEmbedding,
    "badge": Badge,
    "kl_prob": KlProb,
    "kl_embedding": KlEmbedding,
    "svm_margin": SvmMargin,
}


@dataclass(frozen=True)
class StrategyConfig:
    """Which negatives are wanted."""

    name: str = knob("random", "strategy: see `list`")
    label: str = knob("pseudo", "class that gradients are taken for: pseudo (the predicted one) or known")


def make_strategy(config: StrategyConfig) -> Strategy:
    """The strategy that `config` names; raises UnknownName, or BadInput for a label it can't use."""
    if config.name not in STRATEGIES:
        raise UnknownName("strategy", config.name, STRATEGIES)
    if config.label not in ("pseudo", "known"):
        raise UnknownName("strategy.label", config.label, ("pseudo", "known"))
    kind = STRATEGIES[config.name]
    if config.label != "pseudo" and kind.need < Need.GRADIENT:
        taking = ", ".join(name for name, other in STRATEGIES.items() if other.need == Need.GRADIENT)
        raise BadInput(f"strategy.label=known with {config.name}", f"one of {taking}", "leave label alone")
    return kind(label=config.label)
