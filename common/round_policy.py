"""Which epochs are picked at random, how old weights may be, and how much of the pool a round scores."""

from dataclasses import dataclass, field, fields

import numpy as np

from negsift.common.config import knob
from negsift.common.errors import BadInput, UnknownName
from negsift.common.guards import Guards

SCORES = {"fresh": "from a forward pass in the round", "memory": "from logits that training saw"}
"""Where a round's scores come from."""


@dataclass(frozen=True)
class RoundPolicy:
    """The options of a run's rounds; by default every round scores the whole pool.

    `candidates` and `rescore` score whole blocks, at least that many bags, other blocks in each round and every block
    in turn. With `candidates` only these bags compete; with `rescore` they compete with the last scores of all others.
    With `score="memory"` a round scores nothing: it goes by the logits that the caller gave `remember`. Strategies that
    score nothing ignore all three. The caller asks every `every` epochs. `guard` leaves bags out. Raises BadInput for
    values that are not whole numbers in range, and for two of the three together.
    """

    random_rounds: int = knob(0, "first epochs picked at random, while scores are noise", least=0)
    staleness: int | None = knob(None, "epochs that weights may be behind; none: any number", least=0)
    candidates: int | None = knob(None, "bags that compete in a round, others each time; none: the pool", least=1)
    rescore: int | None = knob(None, "bags scored again in a round; the others' last scores are kept", least=1)
    every: int = knob(1, "epochs between rounds", least=1)
    score: str = knob("fresh", "scores: fresh, from a forward pass, or memory, from logits that training saw")
    guard: Guards = field(default_factory=Guards)

    def __post_init__(self) -> None:
        if self.score not in SCORES:
            raise UnknownName("score", str(self.score), SCORES)
        guard: object = self.guard
        if not isinstance(guard, Guards):
            raise BadInput(f"guard={guard!r}", "a Guards", "give guard=Guards(...)")
        for option in fields(RoundPolicy):
            if "bounds" not in option.metadata or option.name == "score":
                continue
            name, value, least = option.name, getattr(self, option.name), int(option.metadata["bounds"].least)
            missing = value is None and option.default is None
            whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
            if not missing and (not whole or value < least):
                raise BadInput(f"{name}={value!r}", f"a whole number of at least {least}", f"correct {name}=")
        if self.candidates and self.rescore:
            both = f"candidates={self.candidates} and rescore={self.rescore}"
            raise BadInput(both, "one of them at most", "leave one out")
        if self.score == "memory" and (self.candidates or self.rescore):
            part = f"candidates={self.candidates}" if self.candidates else f"rescore={self.rescore}"
            raise BadInput(f"score=memory and {part}", "one of them at most", "leave one out")

    @property
    def policy(self) -> "RoundPolicy":
        """These options alone, without the fields that a subclass adds."""
        return RoundPolicy(*(getattr(self, option.name) for option in fields(RoundPolicy)))
