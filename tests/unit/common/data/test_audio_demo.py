"""Synthesised clips on a full disk."""

from pathlib import Path

import pytest

from negsift.common.data.audio_demo import load
from negsift.common.data.config import DataConfig
from negsift.common.errors import BadInput
from tests.unit.full_disk import largest_file


def test_clips_without_room_name_their_folder_and_leave_nothing(tmp_path: Path) -> None:
    root = tmp_path / "clips"
    message = r"clips, where synthesised clips are kept, not writable \(File too large\)"
    with largest_file(1000), pytest.raises(BadInput, match=message):
        load(DataConfig(name="audio-demo", root=str(root)))
    assert list(tmp_path.iterdir()) == []
