"""Log-mel against a straightforward reference, and the padding trap."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torchaudio.compliance import kaldi

from negsift.common.data.audio.config import PSLA_STATS, AudioConfig, ClipForm
from negsift.common.data.audio.logmel import log_mel, real_frames, to_float
from negsift.common.errors import BadInput, UnknownName
from negsift.common.models.clip import Standardise

PSLA = AudioConfig()


def waves(config: AudioConfig, count: int = 3) -> Tensor:
    random = np.random.default_rng(0).normal(0.01, 0.1, (count, config.samples))
    return torch.from_numpy(random.astype(np.float32))


def reference(wave: np.ndarray, rate: int, mels: int) -> np.ndarray:
    """Kaldi's recipe in numpy, a frame at a time: offset, pre-emphasis, Hann, power, triangles, log."""
    length, hop = int(rate * 0.025), int(rate * 0.01)
    size = 1 << (length - 1).bit_length()
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / (length - 1))
    to_mel = lambda hertz: 1127.0 * np.log(1 + hertz / 700.0)  # noqa: E731  # one line says it
    edges = np.linspace(to_mel(20.0), to_mel(rate / 2), mels + 2)
    bins = to_mel(np.arange(size // 2 + 1) * rate / size)[:, None]
    rise, fall = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2]), (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0, np.minimum(rise, fall))
    triangles[-1] = 0  # kaldi leaves the Nyquist bin out
    rows = []
    for start in range(0, len(wave) - length + 1, hop):
        frame = wave[start : start + length] - wave[start : start + length].mean()
        frame = frame - 0.97 * np.concatenate([frame[:1], frame[:-1]])
        power = np.abs(np.fft.rfft(frame * window, size)) ** 2
        rows.append(np.log(np.maximum(power @ triangles, np.finfo(np.float32).eps)))
    return np.array(rows)


@pytest.mark.parametrize(("rate", "mels", "seconds"), [(16_000, 128, 10.0), (44_100, 128, 10.0), (22_050, 64, 2.0)])
def test_features_are_those_of_the_reference(rate: int, mels: int, seconds: float) -> None:
    config = AudioConfig(sample_rate=rate, mels=mels, seconds=seconds)
    wave = waves(config, 1)
    expected = reference((wave - wave.mean())[0].double().numpy(), rate, mels)
    found = log_mel(wave, config)[0]
    assert found.shape == (1056, mels)
    assert len(expected) == real_frames(config)
    np.testing.assert_allclose(found[: len(expected)].numpy(), expected, atol=5e-3)
    np.testing.assert_array_equal(found[len(expected) :].numpy(), 0.0)


def test_ten_seconds_are_998_frames_and_58_of_zeros() -> None:
    found = log_mel(waves(PSLA, 1), PSLA)[0]
    assert (real_frames(PSLA), tuple(found.shape)) == (998, (1056, 128))
    assert not (found[:998] == 0).all(1).any()
    assert (found[998:] == 0).all()


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100])
def test_many_clips_in_one_call_are_those_of_single_calls(rate: int) -> None:
    config = AudioConfig(sample_rate=rate, seconds=1.3, frames=160)
    many, single = log_mel(waves(config), config), [log_mel(wave[None], config)[0] for wave in waves(config)]
    torch.testing.assert_close(many, torch.stack(single), rtol=1e-4, atol=1e-4)


def test_a_single_clip_is_kaldis_call_of_psla() -> None:
    wave = waves(PSLA, 1)
    expected = kaldi.fbank(
        wave - wave.mean(), htk_compat=True, sample_frequency=16_000, use_energy=False, window_type="hanning",
        num_mel_bins=128, dither=0.0, frame_shift=10,
    )  # fmt: skip
    torch.testing.assert_close(log_mel(wave, PSLA)[0, :998], expected, rtol=0, atol=0)


def test_silence_is_kaldis_floor_and_filling_is_not_silence() -> None:
    standard = Standardise(ClipForm(1056, 128, *PSLA_STATS))
    found = standard(log_mel(torch.zeros(1, PSLA.samples), PSLA))[0]
    floor = (math.log(np.finfo(np.float32).eps) - PSLA_STATS[0]) / PSLA_STATS[1]
    np.testing.assert_allclose(found[:998].numpy(), floor, rtol=1e-5)
    assert float(found[0, 0]) == pytest.approx(-2.47, abs=0.01)
    np.testing.assert_allclose(found[998:].numpy(), 1.017, atol=1e-3)


def test_features_may_be_cut() -> None:
    config = AudioConfig(frames=500)
    torch.testing.assert_close(log_mel(waves(config), config), log_mel(waves(PSLA), PSLA)[:, :500])
    assert real_frames(config) == 500


def test_cached_samples_are_read_as_fractions_of_full_scale() -> None:
    np.testing.assert_array_equal(to_float(np.array([-32768, 0, 16384], dtype=np.int16)).numpy(), [-1.0, 0.0, 0.5])


@pytest.mark.parametrize(
    ("config", "stats"),
    [
        (AudioConfig(), PSLA_STATS), (AudioConfig(sample_rate=44_100), None), (AudioConfig(mels=64), None),
        (AudioConfig(stats="computed"), None), (AudioConfig(mels=64, stats="-5,4.5"), (-5.0, 4.5)),
    ],
)  # fmt: skip
def test_pslas_statistics_belong_to_its_rate_and_bands(config: AudioConfig, stats: tuple[float, float] | None) -> None:
    assert config.given_stats() == stats


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stats": "mean"}, "stats='mean'; expected auto, computed, or MEAN,STD"),
        ({"stats": "1,0"}, r"STD from 0\.001"),
        ({"stats": "1"}, r"STD from 0\.001"),
        ({"stats": "0,1e-300"}, r"STD from 0\.001"),
        ({"stats": "1e9,1"}, "MEAN within ±1000"),
        ({"seconds": 0.01}, "clips of 25 ms or more"),
        ({"stats": "nan,1"}, "MEAN within"),
        ({"stats": "0,inf"}, "STD from"),
        ({"mels": 0}, "mels=0; expected 1 or more"),
        ({"sample_rate": 1}, "sample_rate=1; expected 1000 or more"),
        ({"sample_rate": 10**9}, "sample_rate=1000000000; expected 1000 or more and below 400000"),
        ({"seconds": 1e9}, "seconds=1000000000.0; expected a number above 0 and below 3601"),
        ({"frames": 10**8}, "frames=100000000; expected 1 or more and below 400000"),
    ],
)
def test_unusable_settings_are_reported(settings: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        AudioConfig(**settings)  # type: ignore[arg-type]  # on purpose


def test_unknown_training_set_lists_both() -> None:
    with pytest.raises(UnknownName, match="'full'.*balanced, unbalanced"):
        AudioConfig(train_set="full")
