"""What a list says of the files beside it, by one rule for arrays, images and clips."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from negsift.common.errors import BadData
from tests.unit.clips import SMALL, encoded_clip
from tests.unit.sources import built, npy, png

FORM = {"seconds": SMALL.seconds, "mels": SMALL.mels, "frames": SMALL.frames}
CONTENT = {".npy": npy(np.ones((2, 3), np.float32)), ".png": png(7), ".flac": encoded_clip(0)}
ENDINGS = pytest.mark.parametrize("ending", CONTENT)


def beside(root: Path, ending: str, names: Sequence[str], **lists: str) -> Path:
    """A folder with files of these names, and with lists of these texts."""
    for name in names:
        path = root / "in" / f"{name}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENT[ending])
    for name, text in lists.items():
        (root / "in" / f"{name}.csv").write_text(text)
    return root / "in"


def made(source: Path, **settings: Any) -> list[tuple[Any, ...]]:
    """The labels and the split of each bag, in order."""
    found = built(source, **FORM | settings)
    return sorted((bag["labels"], bag["split"]) for bag in found)


def rows(*pairs: tuple[str, str]) -> str:
    return "bag_id,label\n" + "".join(f"{id},{label}\n" for id, label in pairs)


FAR = {
    "other ids": "x{}",
    "absolute paths": "/data/s{}",
    "a folder too many": "far/s{}",
    "zeros lost": "{}",
    "capitals": "S{}",
}


@pytest.mark.parametrize("names", FAR.values(), ids=FAR)
@ENDINGS
def test_a_list_of_other_files_is_refused(ending: str, names: str, tmp_path: Path) -> None:
    ids = [f"s{number}" for number in range(6)]
    far = rows(("s0", "cat"), *((names.format(number), "dog") for number in range(1, 4)))
    with pytest.raises(BadData, match=r"3 of 4 (rows of .*labels.csv without a file|clips missing)"):
        built(beside(tmp_path, ending, ids, labels=far), **FORM)
    assert not (tmp_path / "table").exists()
