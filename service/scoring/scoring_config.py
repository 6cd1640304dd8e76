"""How a shard runs the model: its precision and layout, compiled or not, and what it keeps between rounds."""

from dataclasses import dataclass

from negsift.common.config import check_knobs, knob
from negsift.common.errors import UnknownName

PRECISIONS = ("float32", "tf32", "bfloat16")


@dataclass(frozen=True)
class ScoringConfig:
    """Cheaper scoring. All but `frozen` and `resident` change scores in the last bits, maybe picks; shards never do."""

    precision: str = knob("float32", "of scoring: float32, tf32 (on GPUs) or bfloat16 (the backbone's)")
    channels_last: bool = knob(False, "images laid out with their channels last")
    compile: bool = knob(False, "backbone through torch.compile; on a CPU it needs a C++ compiler")
    resident: bool = knob(False, "keep bags on a GPU between rounds, within device_mb; they must not change")
    frozen: bool = knob(False, "keep the backbone's features, within cache_mb, while its weights stay the same")

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UnknownName("fleet.scoring.precision", self.precision, PRECISIONS)
        check_knobs(self, "fleet.scoring")

    @property
    def split(self) -> bool:
        """Whether backbone and head run one after the other, instead of the model as a whole."""
        return self.frozen or self.precision == "bfloat16"

    @property
    def suffix(self) -> str:
        """The options that differ from their defaults, in brackets after a blank; empty if none do."""
        options = [name for name in ("channels_last", "compile", "resident", "frozen") if getattr(self, name)]
        options = options if self.precision == "float32" else [self.precision, *options]
        return f" ({', '.join(options)})" if options else ""
