"""Log-mel features with PSLA's parameters (arXiv 2102.01243 and its code, audioset_dataset.py)."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad
from torchaudio.compliance import kaldi

from negsift.common.data.audio.config import AudioConfig
from negsift.common.data.audio.decode import FULL_SCALE

SHIFT_MS, LENGTH_MS = 10.0, 25.0


def log_mel(waves_NS: Tensor, config: AudioConfig) -> Tensor:
    """Log-mel (N, frames, mels) of waveforms (N, S) in [-1, 1], not normalised; 10 s at 16 kHz give 998 frames. Missing
    frames are filled with 0, as in PSLA. Normalisation maps 0 to +1.017 and silence to -2.47, so short clips must be
    padded as waveforms.
    """
    feats_NTF = _fbank(waves_NS - waves_NS.mean(1, keepdim=True), config)[:, : config.frames]
    return pad(feats_NTF, (0, 0, 0, config.frames - feats_NTF.shape[1]))


def clip_features(wave: NDArray[np.int16], config: AudioConfig) -> NDArray[np.float16]:
    """Log-mel (frames, mels) of one clip (S,), computed alone, as it is cached, scored and trained on."""
    # One clip a call: in a batch, the last bits would depend on the other clips.
    feats: NDArray[np.float32] = log_mel(to_float(wave[None]), config)[0].numpy()
    return feats.astype(np.float16)


def to_float(waves: NDArray[np.int16]) -> Tensor:
    """int16 samples as float32 in [-1, 1)."""
    return torch.from_numpy(waves.astype(np.float32) / FULL_SCALE)


def real_frames(config: AudioConfig) -> int:
    """The number of a clip's frames that are computed from samples, not filled."""
    hop, length = (int(config.sample_rate * ms / 1000) for ms in (SHIFT_MS, LENGTH_MS))
    return min(config.frames, 1 + (config.samples - length) // hop)


def _fbank(waves_NS: Tensor, config: AudioConfig) -> Tensor:
    """Kaldi's fbank of many waveforms, joined into one call; frames that overlap two waveforms are discarded."""
    count, samples = waves_NS.shape
    hop = int(config.sample_rate * SHIFT_MS / 1000)
    stride = -(-samples // hop)
    # Kaldi's fbank takes one waveform at a time; a multiple of the hop keeps every frame of the next one aligned.
    joined = pad(waves_NS, (0, stride * hop - samples)).reshape(1, -1)
    feats_TF = kaldi.fbank(
        joined, htk_compat=True, sample_frequency=config.sample_rate, use_energy=False, window_type="hanning",
        num_mel_bins=config.mels, dither=0.0, frame_shift=SHIFT_MS, frame_length=LENGTH_MS,
    )  # fmt: skip
    frames_NTF = pad(feats_TF, (0, 0, 0, count * stride - len(feats_TF))).view(count, stride, -1)
    return frames_NTF[:, : 1 + (samples - int(config.sample_rate * LENGTH_MS / 1000)) // hop]
