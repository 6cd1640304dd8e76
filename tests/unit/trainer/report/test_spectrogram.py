"""Clips in the report: a spectrogram the right way up, and a sound that browsers play."""

import base64
import io

import numpy as np
import pytest
import soundfile

from negsift.common.data.audioset.clips import ClipSet
from negsift.common.data.catalogue import load_split
from negsift.common.data.split import Split
from negsift.trainer.report.spectrogram import colour, encode_sound, picture_clip
from tests.unit.clips import RATE, data, sound, write_folder


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    return load_split(data(write_folder(tmp_path_factory.mktemp("audioset"))))


def decoded(source: str) -> bytes:
    return base64.b64decode(source.partition(",")[2])


@pytest.mark.parametrize(
    ("rate", "kind", "tolerance"), [(RATE, "mpeg", 0.1), (44_100, "mpeg", 0.1), (96_000, "flac", 1e-4)]
)
def test_sounds_are_files_that_browsers_play(rate: int, kind: str, tolerance: float) -> None:
    wave = np.rint(sound(1.0, rate=rate) * 32_768).astype(np.int16)
    source = encode_sound(wave, rate)
    assert source.startswith(f"data:audio/{kind};base64,")
    samples, rate_of_file = soundfile.read(io.BytesIO(decoded(source)))
    assert rate_of_file == rate
    spectra = [np.abs(np.fft.rfft(samples_of_sound[:rate], rate)) for samples_of_sound in (samples, wave / 32_768)]
    assert spectra[0].argmax() == spectra[1].argmax() == 440
    assert spectra[0].max() == pytest.approx(spectra[1].max(), rel=tolerance)


def test_low_frequencies_are_below_and_time_runs_to_the_right() -> None:
    feats = np.full((40, 10), -10.0, dtype=np.float32)
    feats[30:, :3] = 5.0
    bright = colour(feats)[..., :3].astype(int).sum(-1)
    assert bright.shape == (10, 40)
    np.testing.assert_array_equal(np.unique(np.argwhere(bright > bright.mean())[:, 0]), [7, 8, 9])
    assert np.argwhere(bright > bright.mean())[:, 1].min() == 30


def test_long_clips_are_pictures_of_500_columns_at_most() -> None:
    assert colour(np.random.default_rng(0).normal(size=(998, 128)).astype(np.float32)).shape == (128, 499, 4)


def test_silence_has_a_picture() -> None:
    assert colour(np.full((20, 8), -15.9, dtype=np.float32)).shape == (8, 20, 4)


def test_a_clip_is_shown_with_its_tags_without_its_padding(split: Split) -> None:
    assert isinstance(split.pool, ClipSet)
    picture = picture_clip(split.pool, 0)
    assert picture.tags == split.pool.instances.tag_names(int(split.pool.rows[0]))
    assert picture.pixels.shape == (32, 98, 4)
    assert all(name in ("Low tone", "Noise") for name in picture.tags.split(", "))
