"""Decodes a clip with libsndfile into a waveform of given rate and length."""

import io
import math
from typing import Literal

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torchaudio.functional import resample

from negsift.common.errors import BadData

FULL_SCALE = 32_768
"""int16 samples are x · FULL_SCALE for x in [-1, 1)."""
_LOOKAHEAD_S = 1.0  # resampling the last sample needs some of those after it
_ENOUGH = 0.99  # MP3 and Opus files may state a few more frames than they contain
_MOST_RATE = 1_000_000
_MOST_KERNEL = 1 << 24
_BYTE_ORDER: dict[bytes, Literal["little", "big"]] = {b"RIFF": "little", b"RIFX": "big", b"FORM": "big"}
_UNKNOWN_SIZE = 0x7FFF_F000  # programs that write WAV to a pipe state this size or more


def decode(encoded: bytes, sample_rate: int, samples: int) -> NDArray[np.int16]:
    """The clip in mono at `sample_rate`, minus its mean, padded with silence or cut to (samples,) int16.

    Formats are those of libsndfile: WAV, FLAC, OGG Vorbis, Opus, MP3, AIFF and others. The mean is subtracted before
    padding, so that padding is silence. Raises BadData, whose `found` is the fault, for a clip that can't be
    decoded, is too short for what it states, or is silent throughout.
    """
    mono, rate = read_sound(encoded, samples / sample_rate)
    if rate != sample_rate:
        mono = _resampled(mono, rate, sample_rate)
    pcm = _whole(mono)[:samples]
    return np.pad(pcm, (0, samples - len(pcm)))


def _resampled(mono: NDArray[np.float32], rate: int, sample_rate: int) -> NDArray[np.float32]:
    """The samples at another rate. torchaudio's kernel has a row for each phase: gigabytes for rates such as 44,101."""
    shared = math.gcd(rate, sample_rate)
    up, down = sample_rate // shared, rate // shared
    if up * (up + down) <= _MOST_KERNEL:
        whole: NDArray[np.float32] = resample(torch.from_numpy(mono), rate, sample_rate).numpy()
        return whole
    from scipy.signal import resample_poly  # imported here: it takes half a second, and few clips need it

    filtered: NDArray[np.float32] = resample_poly(mono, up, down).astype(np.float32)
    return filtered


def _whole(mono: NDArray[np.float32]) -> NDArray[np.int16]:
    """The samples minus their mean, as int16."""
    scaled: NDArray[np.float32] = np.rint((mono - mono.mean()) * FULL_SCALE)
    return scaled.clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def read_sound(encoded: bytes, seconds: float) -> tuple[NDArray[np.float32], int]:
    """The first `seconds` of a clip in mono, and its sample rate; (n,), with 1 s more if there is more. Raises BadData
    as `decode` does.
    """
    if not encoded:
        raise _fault("an empty file")
    try:
        with soundfile.SoundFile(io.BytesIO(encoded)) as file:
            # libsndfile itself counts the frames of a cut WAV or AIFF file by what is left of it.
            if file.samplerate > _MOST_RATE:
                raise _fault(f"{file.samplerate:,} samples a second")
            rate, length = file.samplerate, file.frames * _stated_bytes(encoded) // len(encoded)
            # Read no more than is used: sources may be hours long.
            count = min(length, math.ceil((seconds + _LOOKAHEAD_S) * rate))
            sound = file.read(count, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, ValueError, OverflowError) as error:
        raise _fault(getattr(error, "error_string", str(error))) from None
    if not len(sound):
        raise _fault("no samples")
    if len(sound) < _ENOUGH * count:
        raise _fault(f"{len(sound) / rate:.2f} s of the {count / rate:.2f} s it should have")
    if not np.isfinite(sound).all():
        raise _fault(f"{np.size(sound) - np.isfinite(sound).sum()} samples not finite")
    mono = sound.mean(1, dtype=np.float32)
    if count == length and not _whole(mono).any():
        raise _fault("nothing but silence")
    return mono, rate


def _stated_bytes(encoded: bytes) -> int:
    """The size that the header of a WAV or AIFF file states, if more than the file has; else the file's size."""
    order = _BYTE_ORDER.get(encoded[:4])
    size = int.from_bytes(encoded[4:8], order) if order else 0
    return len(encoded) if size >= _UNKNOWN_SIZE else max(len(encoded), size + 8)


def _fault(found: str) -> BadData:
    return BadData(found, "a clip that libsndfile decodes", "repair it, or convert it with ffmpeg")
