"""From an encoded clip to a waveform of known rate and length, by libsndfile."""

import io
import math

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torchaudio.functional import resample

from negsift.common.errors import BadData

FULL_SCALE = 32_768
"""int16 samples are x · FULL_SCALE for x in [-1, 1)."""
_AHEAD_S = 1.0
_ENOUGH = 0.99


def decode(encoded: bytes, sample_rate: int, samples: int) -> NDArray[np.int16]:
    """Mono at `sample_rate`, without its mean, padded with silence or cut to (samples,) int16.

    Takes what libsndfile takes: WAV, FLAC, OGG Vorbis, Opus, MP3, AIFF and others. The mean goes before
    padding, so that padding is silence; a file of nothing else is as good as missing. Raises BadData, `found`
    telling what is wrong with the clip.
    """
    mono, rate = read_sound(encoded, samples / sample_rate)
    if rate != sample_rate:
        mono = resample(torch.from_numpy(mono), rate, sample_rate).numpy()
    whole = _whole(mono)[:samples]
    return np.pad(whole, (0, samples - len(whole)))


def _whole(mono: NDArray[np.float32]) -> NDArray[np.int16]:
    """Samples as whole numbers, without their mean."""
    loud: NDArray[np.float32] = np.rint((mono - mono.mean()) * FULL_SCALE)
    return loud.clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def read_sound(encoded: bytes, seconds: float) -> tuple[NDArray[np.float32], int]:
    """The clip's beginning, mono (n,), longer than wanted by what resampling looks ahead, and its rate.

    Raises BadData as `decode` does.
    """
    if not encoded:
        raise _fault("an empty file")
    try:
        with soundfile.SoundFile(io.BytesIO(encoded)) as file:
            rate, length = file.samplerate, file.frames
            wanted = min(length, math.ceil((seconds + _AHEAD_S) * rate))
            sound = file.read(wanted, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, ValueError, OverflowError) as error:
        raise _fault(getattr(error, "error_string", str(error))) from None
    if not len(sound):
        raise _fault("no samples")
    if len(sound) < _ENOUGH * wanted:
        raise _fault(f"{len(sound) / rate:.2f} s of the {wanted / rate:.2f} s it should have")
    if not np.isfinite(sound).all():
        raise _fault(f"{np.size(sound) - np.isfinite(sound).sum()} samples not finite")
    mono = sound.mean(1, dtype=np.float32)
    if wanted == length and not _whole(mono).any():
        raise _fault("nothing but silence")
    return mono, rate


def _fault(found: str) -> BadData:
    return BadData(found, "a clip that libsndfile decodes", "repair it, or convert it with ffmpeg")
