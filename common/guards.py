"""Which bags a round leaves out although a strategy wants them: bags that may be mislabelled, or more of the same."""

from dataclasses import dataclass, fields, replace
from typing import Self

from negsift.common.config import check_knobs, knob
from negsift.common.errors import BadInput


@dataclass(frozen=True)
class Guards:
    """The guards of a run's rounds, all off by default. They act in the order of the fields `positives`, `skip`,
    `rest`, `per_source`, `window`, each on the ranks that the guards before it leave. Raises BadInput for values out
    of range.
    """

    skip: float = knob(0.0, "share of the bags considered, those ranked first, that is never chosen", least=0, below=1)
    window: int = knob(1, "k are drawn at random among the next window times k ranks; 1: the best k", least=1)
    positives: float | None = knob(
        None, "leave out bags that look more positive than this share of the positives; none: no bag", least=0
    )
    rest: int = knob(0, "rounds for which a chosen bag is not chosen again", least=0)
    per_source: int | None = knob(None, "most bags of one source in a round; none: any number", least=1)

    def __post_init__(self) -> None:
        check_knobs(self, "sampling.guard")
        if self.positives is not None:
            if self.positives > 1:
                raise BadInput(f"guard.positives={self.positives:g}", "a share between 0 and 1", "correct it")
            object.__setattr__(self, "positives", float(self.positives))  # so that 1 and 1.0 are one configuration

    @property
    def active(self) -> dict[str, float]:
        """The guards that are on, by name."""
        off = Guards()
        values = {field.name: getattr(self, field.name) for field in fields(Guards)}
        return {name: value for name, value in values.items() if value != getattr(off, name)}

    @property
    def of_ranks(self) -> Self:
        """Those that go by a strategy's ranks."""
        return replace(self, positives=None)

    @property
    def of_choices(self) -> "Guards":
        """Those that need no scores, and so hold in rounds at random, too."""
        return Guards(rest=self.rest, per_source=self.per_source)

    def __str__(self) -> str:
        return ", ".join(f"guard.{name}={value:g}" for name, value in self.active.items())
