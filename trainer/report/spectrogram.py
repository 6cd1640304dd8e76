"""The pictures and sounds of clips in the report: log-mel spectrograms, and audio for the browser's player."""

import base64
import io
from dataclasses import dataclass

import matplotlib
import numpy as np
import soundfile
from numpy.typing import NDArray

from negsift.common.data.audio.decode import FULL_SCALE
from negsift.common.data.audio.logmel import real_frames
from negsift.common.data.audioset.clips import ClipSet

CLIP_WIDTH, CLIP_HEIGHT = 300, 96
_MOST_COLUMNS = 500
_PERCENTILES = 5, 99.5
_MP3_RATES = {8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000}


@dataclass(frozen=True)
class ClipPicture:
    """RGBA `pixels` (mels, columns, 4), low frequencies at the bottom; the `tags`; the `sound` as a data URI."""

    pixels: NDArray[np.uint8]
    tags: str
    sound: str


def picture_clip(clips: ClipSet, position: int) -> ClipPicture:
    """The picture and the sound of the clip at `position`."""
    index = np.array([position])
    store = clips.instances.store
    feats_TF = clips.gather(index)[0].numpy()[: real_frames(store.config)]
    sound = encode_sound(clips.waveforms(index)[0], store.config.sample_rate)
    return ClipPicture(colour(feats_TF.astype(np.float32)), clips.instances.tag_names(int(clips.rows[position])), sound)


def colour(feats_TF: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A spectrogram as RGBA pixels, with colours scaled between two percentiles and at most 500 columns."""
    step = -(-len(feats_TF) // _MOST_COLUMNS)
    trimmed_TF = feats_TF[: len(feats_TF) // step * step]
    picture_FT = trimmed_TF.reshape(-1, step, trimmed_TF.shape[1]).mean(1).T[::-1]
    low, high = np.percentile(picture_FT, _PERCENTILES)
    shares = np.clip((picture_FT - low) / max(float(high - low), 1e-6), 0, 1)
    pixels: NDArray[np.uint8] = matplotlib.colormaps["magma"](shares, bytes=True)
    return pixels


def encode_sound(wave: NDArray[np.int16], sample_rate: int) -> str:
    """The samples as a data URI: MP3 (about 40 kB for 10 s) if it supports the sample rate, else FLAC."""
    kind, media_type = ("MP3", "audio/mpeg") if sample_rate in _MP3_RATES else ("FLAC", "audio/flac")
    stream = io.BytesIO()
    soundfile.write(stream, wave.astype(np.float32) / FULL_SCALE, sample_rate, format=kind)
    return data_uri(media_type, stream)


def data_uri(media_type: str, content: io.BytesIO) -> str:
    """The content as a URI that holds it."""
    return f"data:{media_type};base64,{base64.b64encode(content.getvalue()).decode()}"
