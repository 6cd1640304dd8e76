"""AudioSet (Gemmeke et al., ICASSP 2017) and anything in its form: a clip is a bag, one table for all targets."""

from negsift.common.data.audioset.load import load

__all__ = ["load"]
