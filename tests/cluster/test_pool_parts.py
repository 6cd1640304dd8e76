"""`pool build` with tasks on Ray: the same bytes as in one process, errors as they are, nothing left behind."""

import functools
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from negsift.common.data.table.build import build_table
from negsift.common.data.table.location import Location
from negsift.common.data.table.part import PartWriter, WrittenPart
from negsift.common.data.table.sources import source as sources
from negsift.common.data.table.sources.source import BuildConfig, Part
from negsift.common.errors import BadData, BadInput, Interrupted
from negsift.deploy.parts_on_ray import parts_on_ray
from tests.unit.clips import encoded_clip
from tests.unit.sources import png

pytestmark = pytest.mark.usefixtures("local_ray")
FORMS = {
    "arrays": BuildConfig(group_mb=0.01),
    "images": BuildConfig(bag_size=2, image_size=8, group_mb=0.01),
    "clips": BuildConfig(seconds=1.0, mels=32, frames=128, group_mb=0.01),
}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PART_FILES", 4)


def files(root: Path, kind: str) -> Path:
    for number in range(22):
        place = root / kind / ("cat" if number % 2 else "dog") / f"{number:02d}"
        place.parent.mkdir(parents=True, exist_ok=True)
        if kind == "arrays":
            np.save(place.with_suffix(".npy"), np.full((1 + number % 3, 2), np.nan if number == 7 else number))
        else:
            content = png(number) if kind == "images" else encoded_clip(number)
            place.with_suffix(".png" if kind == "images" else ".flac").write_bytes(b"" if number == 7 else content)
    if kind == "arrays":
        rows = "".join(f"{number:02d},{number % 2}\n" for number in range(23))
        (root / kind / "labels.csv").write_text("bag_id,label\n" + rows)
    return root / kind


@pytest.mark.parametrize("kind", ["arrays", "images", "clips"])
def test_any_number_of_workers_writes_the_same_bytes_in_the_same_order(kind: str, tmp_path: Path) -> None:
    source = files(tmp_path, kind)
    alone = build_table(tmp_path / "alone", source, FORMS[kind])
    assert len(alone.files) > 3
    assert len(alone.left_out) == (2 if kind == "arrays" else 1)
    for workers in (1, 3):
        made = build_table(tmp_path / f"by{workers}", source, FORMS[kind], run=parts_on_ray(workers))
        assert made.left_out == alone.left_out
        for one, other in zip(alone.files, made.files, strict=True):
            paths = tmp_path / "alone" / one.name, tmp_path / f"by{workers}" / other.name
            assert paths[0].read_bytes() == paths[1].read_bytes()


def test_an_error_of_a_part_is_raised_as_it_is_and_leaves_nothing(tmp_path: Path) -> None:
    source = files(tmp_path, "arrays")
    (source / "cat" / "21.npy").write_bytes(b"no array")
    with pytest.raises(BadData, match="21.npy unreadable"):
        build_table(tmp_path / "table", source, FORMS["arrays"], run=parts_on_ray(2))
    assert not Location.of(tmp_path / "table").files()


def test_an_interrupted_build_keeps_whole_parts_and_goes_on(tmp_path: Path) -> None:
    source, by_two, asked = files(tmp_path, "arrays"), parts_on_ray(2), list[int]()

    def run(writer: PartWriter, parts: Mapping[int, Part], stop: bool = True) -> Iterator[tuple[int, WrittenPart]]:
        for count, written in enumerate(by_two(writer, parts)):
            asked.append(written[0])
            yield written
            if stop and count == 1:
                raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="2 of 6 parts are kept in"):
        build_table(tmp_path / "table", source, FORMS["arrays"], run=run)
    made = build_table(tmp_path / "table", source, FORMS["arrays"], run=functools.partial(run, stop=False))
    assert sorted(asked) == list(range(6))
    assert made.left_out == build_table(tmp_path / "alone", source, FORMS["arrays"]).left_out


def test_a_source_that_is_one_part_is_read_here(tmp_path: Path) -> None:
    source = files(tmp_path, "images")
    views = BuildConfig(bag_size=2, image_size=8, views=2)
    one = build_table(tmp_path / "one", source, views, run=parts_on_ray(2))
    shutil.rmtree(tmp_path / "one")
    assert [file.groups for file in build_table(tmp_path / "one", source, views).files] == [
        file.groups for file in one.files
    ]


@pytest.mark.parametrize("workers", [0, -1])
def test_a_number_of_workers_below_one_is_refused(workers: int) -> None:
    with pytest.raises(BadInput, match=f"--workers {workers}; expected 1 or more"):
        parts_on_ray(workers)
