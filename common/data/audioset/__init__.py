"""AudioSet (Gemmeke et al., ICASSP 2017) and clips in its form: each clip is a bag, one table serves all targets."""

from negsift.common.data.audioset.load import load

__all__ = ["load"]
