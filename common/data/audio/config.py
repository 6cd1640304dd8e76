"""The configuration of audio data, and the form of a clip's features."""

import math
from dataclasses import dataclass

from negsift.common.config import check_knobs, knob
from negsift.common.errors import BadInput, UnknownName

LOG_MEL = "log-mel/1"
"""Names the algorithm of the features; a change of their values at equal parameters must change the number."""
_MOST_MEAN, _LEAST_STD = 1000.0, 0.001  # of log-mel: beyond them features are no numbers to train with
TRAIN_SETS = ("balanced", "unbalanced")
PSLA_STATS = (-4.6476, 4.5699)
"""Mean and standard deviation of AudioSet's log-mel at 16 kHz with 128 bands (PSLA's code)."""


@dataclass(frozen=True)
class AudioConfig:
    """Which clips are used, and how features are computed. The defaults are those of PSLA."""

    train_set: str = knob("balanced", "AudioSet's training list: balanced or unbalanced")
    classes: str = knob("audioset40", "class list: audioset40, all, top:K, or a file with one mid or name per line")
    only_listed: bool = knob(True, "leave out clips that have no class of the list")
    exclude_descendants: bool = knob(False, "leave clips of the target's descendants in the ontology out of the pool")
    sample_rate: int = knob(16_000, "samples a second that clips are resampled to", least=1000, below=400_000)
    seconds: float = knob(10.0, "seconds that clips are padded with silence or cut to", above=0, below=3601)
    mels: int = knob(128, "mel bands", least=1, below=1025)
    frames: int = knob(1056, "10 ms frames of a clip's features; the end is filled with zeros", least=1, below=400_000)
    stats: str = knob("auto", "normalisation: auto (PSLA's at 16 kHz and 128 bands, else computed), computed, MEAN,STD")

    def __post_init__(self) -> None:
        if self.train_set not in TRAIN_SETS:
            raise UnknownName("data.audio.train_set", self.train_set, TRAIN_SETS)
        check_knobs(self, "data.audio")
        # 25 ms is the length of one frame.
        if self.samples < self.sample_rate // 40:
            raise BadInput(f"data.audio.seconds={self.seconds}", "clips of 25 ms or more", "raise it")
        self.given_stats()  # raises for malformed text

    @property
    def samples(self) -> int:
        """The number of samples of a padded or cut clip."""
        return round(self.seconds * self.sample_rate)

    def given_stats(self) -> tuple[float, float] | None:
        """Mean and standard deviation; None if they must be computed from the training clips. Raises BadInput."""
        if self.stats in ("auto", "computed"):
            psla = self.stats == "auto" and (self.sample_rate, self.mels) == (16_000, 128)
            return PSLA_STATS if psla else None
        try:
            mean, std = map(float, self.stats.split(","))
        except ValueError:
            mean, std = 0.0, 0.0
        if not (abs(mean) <= _MOST_MEAN and _LEAST_STD <= std < math.inf):
            expected = f"auto, computed, or MEAN,STD with STD from {_LEAST_STD:g} and MEAN within ±{_MOST_MEAN:g}"
            raise BadInput(f"data.audio.stats={self.stats!r}", expected, "for example data.audio.stats=-4.6,4.6")
        return mean, std


@dataclass(frozen=True)
class ClipForm:
    """The shape of a clip's features, `frames` x `mels`, and their mean and standard deviation over training clips."""

    frames: int
    mels: int
    mean: float
    std: float
