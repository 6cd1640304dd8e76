"""Decoding: every format, rate and number of channels; content without sound is reported."""

import contextlib
import io

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchaudio.functional import resample

from negsift.common.data.audio.decode import FULL_SCALE, decode
from negsift.common.errors import BadData
from tests.unit.clips import RATE, encode, sound

LOSSLESS = [
    ("WAV", "PCM_16"),
    ("WAV", "PCM_24"),
    ("WAV", "FLOAT"),
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
    ("AIFF", "PCM_16"),
]
LOSSY = [("OGG", "VORBIS", RATE), ("OGG", "OPUS", 48_000), ("MP3", "MPEG_LAYER_III", RATE)]


def expected(samples: np.ndarray, length: int) -> np.ndarray:
    """The definition: no mean, padded or cut, times full scale."""
    centred = (samples - samples.mean())[:length]
    return np.pad(centred, (0, length - len(centred))) * FULL_SCALE


@pytest.mark.parametrize(("kind", "subtype"), LOSSLESS)
@pytest.mark.parametrize("seconds", [0.5, 1.0, 1.7])
def test_lossless_clips_come_back_to_the_last_bit_but_one(kind: str, subtype: str, seconds: float) -> None:
    found = decode(encode(sound(seconds), RATE, kind, subtype), RATE, RATE)
    whole = expected(sound(seconds), RATE)
    if seconds > 1:  # the mean is that of what was read: the wanted second and one more
        whole = expected(sound(seconds)[: 2 * RATE], RATE)
    assert (found.dtype, found.shape) == (np.int16, (RATE,))
    np.testing.assert_allclose(found, whole, atol=1.6)


@pytest.mark.parametrize(("kind", "subtype", "rate"), LOSSY)
def test_lossy_clips_sound_the_same(kind: str, subtype: str, rate: int) -> None:
    found = decode(encode(sound(1.0, rate=rate), rate, kind, subtype), RATE, RATE).astype(float)
    spectrum, wanted = np.abs(np.fft.rfft(found)), np.abs(np.fft.rfft(sound(1.0)))
    assert spectrum.argmax() == wanted.argmax() == 440
    assert found.std() == pytest.approx(sound(1.0).std() * FULL_SCALE, rel=0.05)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_other_rates_are_resampled_by_torchaudio(rate: int) -> None:
    samples = sound(0.9, rate=rate)
    single = torch.from_numpy(samples.astype(np.float32))
    whole = expected(resample(single, rate, RATE).numpy(), RATE)
    np.testing.assert_allclose(decode(encode(samples, rate, "WAV", "FLOAT"), RATE, RATE), whole, atol=0.6)


@pytest.mark.parametrize("rate", [11_127, 44_101, 200_003])
def test_odd_rates_take_no_more_memory_than_others(rate: int) -> None:
    """A rate that shares no factor with ours would be gigabytes of torchaudio's kernels."""
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    found = decode(encode(tone, rate, "WAV", "FLOAT"), RATE, RATE)
    wanted = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE) * FULL_SCALE
    np.testing.assert_allclose(found[100:-100], wanted[100:-100], atol=0.005 * FULL_SCALE)


def test_a_rate_of_no_recording_is_reported() -> None:
    with pytest.raises(BadData, match="2,000,000,011 samples a second"):
        decode(encode(sound(0.1), 2_000_000_011, "WAV", "FLOAT"), RATE, RATE)


def test_eight_channels_at_96_khz_become_their_mean() -> None:
    channels = np.stack([sound(0.5, rate=96_000, seed=seed) for seed in range(8)], 1)
    mean = encode(channels.mean(1), 96_000, "WAV", "FLOAT")
    found = decode(encode(channels, 96_000, "WAV", "FLOAT"), RATE, RATE)
    np.testing.assert_allclose(found, decode(mean, RATE, RATE).astype(float), atol=1)


def test_padding_is_silence_even_with_an_offset() -> None:
    found = decode(encode(sound(0.5) + 0.3), RATE, RATE)
    np.testing.assert_array_equal(found[RATE // 2 :], 0)
    assert abs(found[: RATE // 2].mean()) < 1


def test_loud_clips_are_clipped_and_do_not_wrap() -> None:
    loud = np.where(np.arange(RATE) % 100 < 50, 2.0, -2.0)
    found = decode(encode(loud, RATE, "WAV", "FLOAT"), RATE, RATE)
    np.testing.assert_array_equal(found, np.where(loud > 0, FULL_SCALE - 1, -FULL_SCALE))


def test_a_long_file_is_not_read_to_its_end() -> None:
    encoded = bytearray(encode(sound(8.0), RATE, "WAV", "FLOAT"))
    encoded[-4:] = np.float32(np.nan).tobytes()
    assert decode(bytes(encoded), RATE, RATE).any()


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        (b"", "an empty file"),
        (b"this is a text and no sound\n" * 40, "Format not recognised"),
        (encode(np.zeros(0)), "no samples"),
        (encode(np.full(RATE, 0.3)), "nothing but silence"),
        (encode(np.array([0.5])), "nothing but silence"),
        (encode(np.stack([sound(0.1), -sound(0.1)], 1)), "nothing but silence"),
        (encode(np.full(RATE, np.nan), RATE, "WAV", "FLOAT"), "16000 samples not finite"),
        (encode(np.array([0.1, np.inf] * 500), RATE, "WAV", "FLOAT"), "500 samples not finite"),
        (encode(sound(1.0), RATE, "FLAC")[:9000], "s of the 1.00 s it should have|lost sync|FLAC"),
    ],
)
def test_content_without_sound_is_reported(encoded: bytes, message: str) -> None:
    with pytest.raises(BadData, match=message):
        decode(encoded, RATE, RATE)


@pytest.mark.parametrize(("kind", "subtype"), LOSSLESS)
def test_a_clip_cut_short_is_reported_if_the_lost_part_is_needed(kind: str, subtype: str) -> None:
    cut = encode(sound(1.0), RATE, kind, subtype)[:-9000]
    with pytest.raises(BadData, match=r"0\.\d\d s of the 1\.00 s it should have|FLAC|lost sync"):
        decode(cut, RATE, RATE)
    longer = encode(sound(4.0), RATE, kind, subtype)
    np.testing.assert_array_equal(decode(longer[:-9000], RATE, RATE), decode(longer, RATE, RATE))


@pytest.mark.parametrize("size", [0, 0x7FFF_F024, 0xFFFF_FFFF])
def test_a_wav_file_written_to_a_pipe_states_no_size(size: int) -> None:
    encoded = encode(sound(0.5))
    piped = encoded[:4] + size.to_bytes(4, "little") + encoded[8:]
    np.testing.assert_array_equal(decode(piped, RATE, RATE), decode(encoded, RATE, RATE))


@given(st.binary(max_size=300), st.sampled_from(["WAV", "FLAC", "OGG"]), st.integers(0, 3000))
def test_damaged_clips_are_either_decoded_or_reported(noise: bytes, kind: str, place: int) -> None:
    encoded = bytearray(encode(sound(0.2), RATE, kind))
    encoded[place : place + len(noise)] = noise
    with contextlib.suppress(BadData):
        assert decode(bytes(encoded), RATE, RATE).shape == (RATE,)


def test_sound_in_memory_and_on_disk_are_the_same(tmp_path: object) -> None:
    encoded = encode(sound(0.5), RATE, "OGG")
    samples, _ = soundfile.read(io.BytesIO(encoded))
    np.testing.assert_allclose(decode(encoded, RATE, RATE), expected(samples, RATE), atol=0.6)
